/* Entry of a RAM image on the ESP32-C3. */
void _start(void);

__attribute__((naked, section(".start"), used)) void _start(void)
{
    __asm__ volatile(".option push\n"
                     ".option norelax\n" /* relaxing would load gp relative to gp */
                     "la gp, __global_pointer$\n"
                     ".option pop\n"
                     "la sp, stack_top\n"
                     "j start_c\n");
}
