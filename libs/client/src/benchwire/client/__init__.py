"""A lab's boards from Python: find, lease, flash, listen, write.

with Lab() as lab, lab.leased("me", profile="esp32c3") as lease, lab.listening(lease.device_id, lease.host) as serial:
    lab.flash([Image(Path("app.bin"))], device_id=lease.device_id, host=lease.host, lease_id=lease.lease_id)
    serial.expect("READY")
"""

from benchwire.client.errors import FlashFailed, NoBoard, NoLab, NotHeard, Refused
from benchwire.client.image import Image
from benchwire.client.lab import Lab, verified
from benchwire.client.listening import Line, Listener
from benchwire.client.records import Answer, Device, Job, Lease

__all__ = [
    "Answer",
    "Device",
    "FlashFailed",
    "Image",
    "Job",
    "Lab",
    "Lease",
    "Line",
    "Listener",
    "NoBoard",
    "NoLab",
    "NotHeard",
    "Refused",
    "verified",
]
