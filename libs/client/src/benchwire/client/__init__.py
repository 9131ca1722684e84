"""A lab from Python: its boards (find, lease, flash, listen, write), the tasks and sessions of its agents, its documents.

with Lab() as lab, lab.leased("me", profile="esp32c3") as lease, lab.listening(lease.device_id, lease.host) as serial:
    lab.flash([Image(Path("app.bin"))], device_id=lease.device_id, host=lease.host, lease_id=lease.lease_id)
    serial.expect("READY")
"""

from benchwire.client.documents import Documents
from benchwire.client.errors import Damaged, FlashFailed, NoBoard, NoLab, NotHeard, Refused
from benchwire.client.image import Image
from benchwire.client.lab import Lab, verified
from benchwire.client.listening import Listener
from benchwire.client.records import Answer, Approval, Device, Job, Lease, Line, Session, Task, TaskResults

__all__ = [
    "Answer",
    "Approval",
    "Damaged",
    "Device",
    "Documents",
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
    "Session",
    "Task",
    "TaskResults",
    "verified",
]
