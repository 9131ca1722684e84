/*
 * What the compiler calls for divisions and for products of 64 bits. Its own library leaves these to the ROM of the chip that it was made for.
 * Shifting and subtracting, one bit of the quotient a turn; a division by zero gives 0 and leaves the dividend.
 */
#include "board.h"

uint32_t __udivsi3(uint32_t dividend, uint32_t divisor);
uint32_t __umodsi3(uint32_t dividend, uint32_t divisor);
int32_t __divsi3(int32_t dividend, int32_t divisor);
int32_t __modsi3(int32_t dividend, int32_t divisor);
uint64_t __udivdi3(uint64_t dividend, uint64_t divisor);
uint64_t __umoddi3(uint64_t dividend, uint64_t divisor);
int64_t __divdi3(int64_t dividend, int64_t divisor);
int64_t __moddi3(int64_t dividend, int64_t divisor);
uint64_t __umulsidi3(uint32_t left, uint32_t right);
uint64_t __muldi3(uint64_t left, uint64_t right);

static uint32_t divide(uint32_t dividend, uint32_t divisor, uint32_t *rest)
{
    uint32_t quotient = 0, left = 0;

    if (divisor == 0u) {
        *rest = dividend;
        return 0;
    }
    for (int bit = 31; bit >= 0; bit--) {
        uint32_t carry = left >> 31;

        left = (left << 1) | ((dividend >> bit) & 1u);
        if (carry != 0u || left >= divisor) {
            left -= divisor;
            quotient |= 1u << bit;
        }
    }
    *rest = left;
    return quotient;
}

static uint64_t divide_long(uint64_t dividend, uint64_t divisor, uint64_t *rest)
{
    uint64_t quotient = 0, left = 0;

    if (divisor == 0u) {
        *rest = dividend;
        return 0;
    }
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t carry = left >> 63;

        left = (left << 1) | ((dividend >> bit) & 1u);
        if (carry != 0u || left >= divisor) {
            left -= divisor;
            quotient |= (uint64_t)1 << bit;
        }
    }
    *rest = left;
    return quotient;
}

static uint32_t size_of(int32_t number)
{
    return number < 0 ? 0u - (uint32_t)number : (uint32_t)number;
}

static uint64_t size_of_long(int64_t number)
{
    return number < 0 ? 0u - (uint64_t)number : (uint64_t)number;
}

uint32_t __udivsi3(uint32_t dividend, uint32_t divisor)
{
    uint32_t rest;

    return divide(dividend, divisor, &rest);
}

uint32_t __umodsi3(uint32_t dividend, uint32_t divisor)
{
    uint32_t rest;

    (void)divide(dividend, divisor, &rest);
    return rest;
}

int32_t __divsi3(int32_t dividend, int32_t divisor)
{
    uint32_t rest, quotient = divide(size_of(dividend), size_of(divisor), &rest);

    return (int32_t)((dividend < 0) == (divisor < 0) ? quotient : 0u - quotient);
}

int32_t __modsi3(int32_t dividend, int32_t divisor)
{
    uint32_t rest;

    (void)divide(size_of(dividend), size_of(divisor), &rest);
    return (int32_t)(dividend < 0 ? 0u - rest : rest);
}

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor)
{
    uint64_t rest;

    return divide_long(dividend, divisor, &rest);
}

uint64_t __umoddi3(uint64_t dividend, uint64_t divisor)
{
    uint64_t rest;

    (void)divide_long(dividend, divisor, &rest);
    return rest;
}

int64_t __divdi3(int64_t dividend, int64_t divisor)
{
    uint64_t rest, quotient = divide_long(size_of_long(dividend), size_of_long(divisor), &rest);

    return (int64_t)((dividend < 0) == (divisor < 0) ? quotient : 0u - quotient);
}

int64_t __moddi3(int64_t dividend, int64_t divisor)
{
    uint64_t rest;

    (void)divide_long(size_of_long(dividend), size_of_long(divisor), &rest);
    return (int64_t)(dividend < 0 ? 0u - rest : rest);
}

/* By halves, so that each product fits into 32 bits and the compiler needs no help with it. */
uint64_t __umulsidi3(uint32_t left, uint32_t right)
{
    uint32_t low = (left & 0xFFFFu) * (right & 0xFFFFu);
    uint32_t cross = (left >> 16) * (right & 0xFFFFu) + (low >> 16);
    uint32_t other = (left & 0xFFFFu) * (right >> 16) + (cross & 0xFFFFu);
    uint32_t high = (left >> 16) * (right >> 16) + (cross >> 16) + (other >> 16);

    return ((uint64_t)high << 32) | (other << 16) | (low & 0xFFFFu);
}

uint64_t __muldi3(uint64_t left, uint64_t right)
{
    uint32_t cross = (uint32_t)(left >> 32) * (uint32_t)right + (uint32_t)left * (uint32_t)(right >> 32);

    return __umulsidi3((uint32_t)left, (uint32_t)right) + ((uint64_t)cross << 32);
}
