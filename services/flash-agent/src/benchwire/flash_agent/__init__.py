"""One per host: finds boards, flashes them, reads their serial output."""
