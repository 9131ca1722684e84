/*
 * gcc may call these four even with -ffreestanding (GCC manual, "Standards"), and there is no library to bring them.
 * The pattern pass is off here: it would turn each loop into a call of the function it stands in.
 */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

#include "board.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    unsigned char *out = to;
    const unsigned char *in = from;

    while (bytes-- != 0u) {
        *out++ = *in++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    unsigned char *out = to;
    const unsigned char *in = from;

    if (out <= in) {
        return memcpy(to, from, bytes);
    }
    while (bytes-- != 0u) {
        out[bytes] = in[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    unsigned char *out = to;

    while (bytes-- != 0u) {
        *out++ = (unsigned char)value;
    }
    return to;
}

int memcmp(const void *left, const void *right, size_t bytes)
{
    const unsigned char *a = left;
    const unsigned char *b = right;

    for (; bytes-- != 0u; a++, b++) {
        if (*a != *b) {
            return *a - *b;
        }
    }
    return 0;
}

size_t strlen(const char *text)
{
    const char *end = text;

    while (*end != '\0') {
        end++;
    }
    return (size_t)(end - text);
}
