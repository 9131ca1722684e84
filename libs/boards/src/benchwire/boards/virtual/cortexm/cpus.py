"""The Cortex-M cores: numbers of the ARMv6-M (C1, B3.2) and ARMv7-M (C1, B3.2) architecture manuals and of Arm's technical manuals."""

from unicorn import arm_const as arm

from benchwire.boards.virtual.cortexm.description import GENERIC_CLASS, ROM_TABLE_CLASS, Component, Cpu

CPUID, ICTR, AIRCR = 0xE000_ED00, 0xE000_E004, 0xE000_ED0C
FP_CTRL, DWT_CTRL = 0xE000_2000, 0xE000_1000

SCS, DWT, FPB, ITM, ROM_TABLE = 0xE000_E000, 0xE000_1000, 0xE000_2000, 0xE000_0000, 0xE00F_F000

# relative to the table at 0xE00FF000; bit 0: present
SCS_ENTRY, DWT_ENTRY, FPB_ENTRY, ITM_ENTRY = 0xFFF0_F003, 0xFFF0_2003, 0xFFF0_3003, 0xFFF0_1003
NO_TPIU, NO_ETM = 0xFFF4_1002, 0xFFF4_2002

V7M_TABLE = (SCS_ENTRY, DWT_ENTRY, FPB_ENTRY, ITM_ENTRY, NO_TPIU, NO_ETM, 0)
V7M_RESET_VALUES = {AIRCR: 0xFA05_0000, FP_CTRL: 0x260, DWT_CTRL: 0x4000_0000}


def _arm(part: int) -> Component:
    return Component(GENERIC_CLASS, 0x4_000B_B000 | part)


CORTEX_M0 = Cpu(
    name="Cortex-M0",
    unicorn_model=arm.UC_CPU_ARM_CORTEX_M0,
    dpidr=0x0BB1_1477,
    ap_idr=0x0477_0021,
    registers={CPUID: 0x410C_C200, ICTR: 0, 0xE000_ED88: 0, 0xE000_ED90: 0, 0xE000_EF40: 0, 0xE000_EF44: 0},
    reset_values={AIRCR: 0xFA05_0000, FP_CTRL: 0x40, DWT_CTRL: 0x2000_0000},  # four breakpoints, two watchpoints
    components={
        SCS: _arm(0x008),
        DWT: _arm(0x00A),
        FPB: _arm(0x00B),
        ROM_TABLE: Component(ROM_TABLE_CLASS, 0x4_000B_B471),
    },
    rom_table=(SCS_ENTRY, DWT_ENTRY, FPB_ENTRY, 0),
)

CORTEX_M3 = Cpu(
    name="Cortex-M3",
    unicorn_model=arm.UC_CPU_ARM_CORTEX_M3,
    dpidr=0x1BA0_1477,
    ap_idr=0x1477_0011,
    registers={
        CPUID: 0x411F_C231,  # r1p1
        ICTR: 1,
        0xE000_ED40: 0x30,
        0xE000_ED44: 0x200,
        0xE000_ED48: 0x10_0000,
        0xE000_ED50: 0x30,
        0xE000_ED60: 0x0114_1110,
        0xE000_ED64: 0x0211_1000,
        0xE000_ED68: 0x2111_2231,
        0xE000_ED6C: 0x0111_1110,
        0xE000_ED70: 0x0131_0102,
        0xE000_ED88: 0,  # no coprocessor
        0xE000_ED90: 0,  # no MPU
        0xE000_EF40: 0,  # no FPU
        0xE000_EF44: 0,
    },
    reset_values=V7M_RESET_VALUES,
    components={SCS: _arm(0x000), DWT: _arm(0x3_0002), FPB: _arm(0x2_0003), ITM: _arm(0x3_0001)},
    rom_table=V7M_TABLE,
)

CORTEX_M4 = Cpu(
    name="Cortex-M4",
    unicorn_model=arm.UC_CPU_ARM_CORTEX_M4,
    dpidr=0x2BA0_1477,
    ap_idr=0x2477_0011,
    registers={
        CPUID: 0x410F_C241,  # r0p1
        ICTR: 2,  # 82 interrupts in groups of 32
        0xE000_ED40: 0x30,
        0xE000_ED44: 0x200,
        0xE000_ED48: 0x10_0000,
        0xE000_ED50: 0x10_0030,
        0xE000_ED60: 0x0114_1110,
        0xE000_ED64: 0x0211_2000,
        0xE000_ED68: 0x2123_2231,
        0xE000_ED6C: 0x0111_1131,
        0xE000_ED70: 0x0131_0132,
        0xE000_ED78: 0,  # no cache
        0xE000_ED90: 0x800,  # eight MPU regions
        0xE000_EF40: 0x1011_0021,  # single precision FPU
        0xE000_EF44: 0x1100_0011,
    },
    reset_values=V7M_RESET_VALUES,
    components={SCS: _arm(0x00C), DWT: _arm(0x3_0002), FPB: _arm(0x2_0003), ITM: _arm(0x3_0001)},
    rom_table=V7M_TABLE,
)
