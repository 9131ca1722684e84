/*
 * Division of numbers of one width, for a source that says which: UNSIGNED, SIGNED (types), BITS, and FUNCTION(verb, sign), which makes the names of the four
 * that the compiler calls. Shifting and subtracting, one bit of the quotient a turn; a division by zero gives 0 and leaves the dividend.
 */
UNSIGNED FUNCTION(div, u)(UNSIGNED dividend, UNSIGNED divisor);
UNSIGNED FUNCTION(mod, u)(UNSIGNED dividend, UNSIGNED divisor);
SIGNED FUNCTION(div, )(SIGNED dividend, SIGNED divisor);
SIGNED FUNCTION(mod, )(SIGNED dividend, SIGNED divisor);

static UNSIGNED FUNCTION(divide, u)(UNSIGNED dividend, UNSIGNED divisor, UNSIGNED *rest)
{
    UNSIGNED quotient = 0, left = 0;

    if (divisor == 0u) {
        *rest = dividend;
        return 0;
    }
    for (int bit = BITS - 1; bit >= 0; bit--) {
        UNSIGNED carry = left >> (BITS - 1);

        left = (left << 1) | ((dividend >> bit) & 1u);
        if (carry != 0u || left >= divisor) {
            left -= divisor;
            quotient |= (UNSIGNED)1 << bit;
        }
    }
    *rest = left;
    return quotient;
}

static UNSIGNED FUNCTION(size, )(SIGNED number)
{
    return number < 0 ? 0u - (UNSIGNED)number : (UNSIGNED)number;
}

UNSIGNED FUNCTION(div, u)(UNSIGNED dividend, UNSIGNED divisor)
{
    UNSIGNED rest;

    return FUNCTION(divide, u)(dividend, divisor, &rest);
}

UNSIGNED FUNCTION(mod, u)(UNSIGNED dividend, UNSIGNED divisor)
{
    UNSIGNED rest;

    (void)FUNCTION(divide, u)(dividend, divisor, &rest);
    return rest;
}

SIGNED FUNCTION(div, )(SIGNED dividend, SIGNED divisor)
{
    UNSIGNED rest, quotient = FUNCTION(divide, u)(FUNCTION(size, )(dividend), FUNCTION(size, )(divisor), &rest);

    return (SIGNED)((dividend < 0) == (divisor < 0) ? quotient : 0u - quotient);
}

SIGNED FUNCTION(mod, )(SIGNED dividend, SIGNED divisor)
{
    UNSIGNED rest;

    (void)FUNCTION(divide, u)(FUNCTION(size, )(dividend), FUNCTION(size, )(divisor), &rest);
    return (SIGNED)(dividend < 0 ? 0u - rest : rest);
}

#undef UNSIGNED
#undef SIGNED
#undef BITS
#undef FUNCTION
