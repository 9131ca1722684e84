/*
 * Entry of a RAM image on the ESP32 and the ESP32-S3.
 *
 * The compiler is the one for the ESP8266, which has no register windows: the code uses the call0 convention, so the windows that the ROM works with are
 * switched off (PS.WOE), and its interrupts with them.
 */
__asm__(".section .start, \"ax\"\n"
        ".literal_position\n"
        ".global _start\n"
        ".type _start, @function\n"
        ".align 4\n"
        "_start:\n"
        "    movi a0, 0\n"
        "    wsr.intenable a0\n"
        "    movi a0, 0x20\n" /* user vector mode, no windows, no exception, interrupt level 0 */
        "    wsr.ps a0\n"
        "    rsync\n"
        "    movi sp, stack_top\n"
        "    movi a0, 0\n"
        "    j start_c\n");
