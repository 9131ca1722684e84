"""simavr's library (libsimavr, version 1.6), as far as a board needs it.

Its command line is of no use here: it shows what the UART sends line by line, in colours, with a dot in place of each control character, and
among its own words; it sends nothing to the UART; and of the ELF file that it loads it obeys tags that write files of the host.
"""

import ctypes
import os
import sys
from collections.abc import Callable

LIBRARY = "libsimavr.so.2"

RUNNING, SLEEPING, DONE, CRASHED = 2, 3, 6, 7  # avr_t.state

_UART_FLAGS = 0x7561_7300  # AVR_IOCTL_UART_SET_FLAGS, and the letter of the UART
_UART_IRQS = 0x7561_7200  # AVR_IOCTL_UART_GETIRQ, likewise
_TO_UART, _FROM_UART, _UART_HAS_ROOM, _UART_IS_FULL = range(4)  # UART_IRQ_*

_BATCH_CYCLES = 1000  # instructions run in one call until so many cycles are over, or a timer is due
_FREQUENCY_AT_FIRST_HZ = 1_000_000


class SimavrUnusable(Exception):
    """The library is not there, is another one than is known here, or has no such chip; the message is a sentence."""


class _Avr(ctypes.Structure):
    """The beginning of ``avr_t``, sim_avr.h. What stands behind it is the library's own."""

    _fields_ = (
        ("mmcu", ctypes.c_char_p), ("ioend", ctypes.c_uint16), ("ramend", ctypes.c_uint16), ("flashend", ctypes.c_uint32),
        ("e2end", ctypes.c_uint32), ("vector_size", ctypes.c_uint8), ("signature", ctypes.c_uint8 * 3), ("fuse", ctypes.c_uint8 * 6),
        ("lockbits", ctypes.c_uint8), ("rampz", ctypes.c_uint16), ("eind", ctypes.c_uint16), ("address_size", ctypes.c_uint8),
        ("reset_flags", ctypes.c_uint32 * 4), ("codeend", ctypes.c_uint32), ("state", ctypes.c_int), ("frequency", ctypes.c_uint32),
        ("voltages", ctypes.c_uint32 * 3), ("cycle", ctypes.c_uint64), ("run_cycle_count", ctypes.c_uint64),
        ("run_cycle_limit", ctypes.c_uint64), ("sleep_usec", ctypes.c_uint32), ("time_base", ctypes.c_uint64), ("init", ctypes.c_void_p),
        ("reset", ctypes.c_void_p), ("custom", ctypes.c_void_p * 3), ("run", ctypes.c_void_p), ("sleep", ctypes.c_void_p),
    )  # fmt: skip


_AvrPointer = ctypes.POINTER(_Avr)
_OnIrq = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
_OnSleep = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64)


class Core:
    """One chip with ``image`` at the start of its flash. ``send`` gets each byte that its UART 0 sends. Raises ``SimavrUnusable``."""

    def __init__(self, mcu: str, image: bytes, *, frequency_hz: int, send: Callable[[int], None]) -> None:
        self.uart_has_room = True
        self._library = _loaded()
        self._avr = self._library.avr_make_mcu_by_name(mcu.encode())
        if not self._avr:
            raise SimavrUnusable(f"simavr has no chip {mcu}")
        self._library.avr_init(self._avr)
        self._state = self._avr.contents
        if not self._is_as_expected(mcu):
            raise SimavrUnusable(f"this {LIBRARY} keeps its state in another way than that of simavr 1.6")
        if len(image) > self._state.flashend + 1:
            raise SimavrUnusable(f"{len(image)} bytes don't fit in {self._state.flashend + 1}")
        self._library.avr_loadcode(self._avr, image, len(image), 0)
        self._state.frequency = frequency_hz
        self._state.run_cycle_limit = _BATCH_CYCLES
        # The callbacks are kept, because the library does not.
        self._asleep = _OnSleep(lambda _avr, _cycles: None)  # who runs the core keeps the time
        self._state.sleep = ctypes.cast(self._asleep, ctypes.c_void_p)
        flags = ctypes.c_uint32(0)  # the default would print on the console, and sleep while the program polls
        self._library.avr_ioctl(self._avr, _UART_FLAGS | ord("0"), ctypes.byref(flags))
        self._listeners = [
            self._on(_FROM_UART, lambda value: send(value & 0xFF)),
            self._on(_UART_HAS_ROOM, self._got_room),
            self._on(_UART_IS_FULL, self._got_full),
        ]

    @property
    def cycles(self) -> int:
        """How many have gone by since the reset, asleep or not."""
        return int(self._state.cycle)

    @property
    def state(self) -> int:
        """One of the constants above, or another one of ``avr_t``'s."""
        return int(self._state.state)

    def run_until(self, cycles: int) -> None:
        """Run until at least so many have gone by, or the core neither runs nor sleeps."""
        run, avr, state = self._library.avr_run, self._avr, self._state
        while state.cycle < cycles and run(avr) in (RUNNING, SLEEPING):
            pass

    def receive(self, byte: int) -> None:
        """A byte arrives at UART 0; without room, or with the receiver off, it is lost as on the chip."""
        self._library.avr_raise_irq(self._irq(_TO_UART), byte)

    def _is_as_expected(self, mcu: str) -> bool:
        """Whether what was just made is found where it should be: fields are known by their places only."""
        state = self._state
        named = state.mmcu is not None and mcu.encode().startswith(state.mmcu)
        return named and (state.frequency, state.state) == (_FREQUENCY_AT_FIRST_HZ, RUNNING)

    def _on(self, irq: int, listener: Callable[[int], None]) -> object:
        callback = _OnIrq(lambda _irq, value, _parameter: listener(value))
        self._library.avr_irq_register_notify(self._irq(irq), callback, None)
        return callback

    def _irq(self, number: int) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._library.avr_io_getirq(self._avr, _UART_IRQS | ord("0"), number))

    def _got_room(self, _value: int) -> None:
        self.uart_has_room = True

    def _got_full(self, _value: int) -> None:
        self.uart_has_room = False


def own_words_to_stderr() -> None:
    """From now on ``sys.stdout`` is this process's own, and what the library prints goes where errors go."""
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)


def _loaded() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise SimavrUnusable(f"simavr is not installed (package simavr): {error}") from error
    library.avr_make_mcu_by_name.argtypes, library.avr_make_mcu_by_name.restype = [ctypes.c_char_p], _AvrPointer
    library.avr_init.argtypes = library.avr_run.argtypes = [_AvrPointer]
    library.avr_loadcode.argtypes = [_AvrPointer, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_uint32]
    library.avr_ioctl.argtypes = [_AvrPointer, ctypes.c_uint32, ctypes.c_void_p]
    library.avr_io_getirq.argtypes = [_AvrPointer, ctypes.c_uint32, ctypes.c_int]
    library.avr_io_getirq.restype = ctypes.c_void_p
    library.avr_irq_register_notify.argtypes = [ctypes.c_void_p, _OnIrq, ctypes.c_void_p]
    library.avr_raise_irq.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    return library
