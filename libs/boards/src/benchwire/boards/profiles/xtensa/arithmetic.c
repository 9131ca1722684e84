/*
 * What the compiler calls for divisions and for products of 64 bits. Its own library leaves these to the ROM of the chip that it was made for.
 */
#include "board.h"

#define UNSIGNED uint32_t
#define SIGNED int32_t
#define BITS 32
#define FUNCTION(verb, sign) __##sign##verb##si3
#include "division.h"

#define UNSIGNED uint64_t
#define SIGNED int64_t
#define BITS 64
#define FUNCTION(verb, sign) __##sign##verb##di3
#include "division.h"

uint64_t __umulsidi3(uint32_t left, uint32_t right);
uint64_t __muldi3(uint64_t left, uint64_t right);

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
