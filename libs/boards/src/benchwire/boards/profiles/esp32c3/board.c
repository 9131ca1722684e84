/*
 * ESP32-C3: UART0 as the ROM left it (115200 8N1 on GPIO21 TX and GPIO20 RX), watchdogs off, time from the system timer.
 * Registers: ESP32-C3 Technical Reference Manual, register list of low-power management.
 */
#include "board.h"
#include "esp_board.h"

void board_init(void)
{
    static const struct esp_watchdogs watchdogs = {
        .rtc_config = 0x60008090u,
        .rtc_protect = 0x600080A8u,
        .super_config = 0x600080ACu,
        .super_protect = 0x600080B0u,
    };

    esp_watchdogs_off(&watchdogs);
}
