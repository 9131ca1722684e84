#ifndef ESP_BOARD_H
#define ESP_BOARD_H

#include <stdint.h>

/* Where the chip has its RTC watchdog (RTC_CNTL_WDTCONFIG0, _WDTWPROTECT) and its super watchdog (RTC_CNTL_SWD_CONF, _SWD_WPROTECT). */
struct esp_watchdogs {
    uint32_t rtc_config;
    uint32_t rtc_protect;
    uint32_t super_config;
    uint32_t super_protect;
};

/* Switches them and the main watchdog off. */
void esp_watchdogs_off(const struct esp_watchdogs *at);

#endif
