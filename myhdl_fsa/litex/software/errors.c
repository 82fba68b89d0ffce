#include "errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* numpy adds an array in this order: blocks of up to 128 values in eight sums, larger ones by halves. */
#define DEFINE_MEAN(type, name) \
    static type name##_sum(const type *values, uint32_t count) \
    { \
        type sums[8], sum; \
        uint32_t at, lane, half; \
        if (count < 8) { \
            sum = 0; \
            for (at = 0; at < count; at++) \
                sum += values[at]; \
            return sum; \
        } \
        if (count <= 128) { \
            memcpy(sums, values, sizeof sums); \
            for (at = 8; at < count - count % 8; at += 8) \
                for (lane = 0; lane < 8; lane++) \
                    sums[lane] += values[at + lane]; \
            sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])); \
            for (; at < count; at++) \
                sum += values[at]; \
            return sum; \
        } \
        half = count / 2; \
        half -= half % 8; \
        return name##_sum(values, half) + name##_sum(values + half, count - half); \
    } \
\
    static float name##_mean(const type *values, uint32_t count) \
    { \
        return (float)(name##_sum(values, count) / (type)count); \
    }

#define DEFINE_ERRORS(type, name) \
    DEFINE_MEAN(type, name) \
    static type name##_absolute(type value) \
    { \
        return value < 0 ? -value : value; \
    } \
\
    struct errors errors_of_##name##s(const float *result, const type *reference, type epsilon, uint32_t count) \
    { \
        static type values[3][DEMO_VALUES]; \
        type largest = 0; \
        uint32_t at; \
        struct errors errors; \
        for (at = 0; at < count; at++) { \
            type error = result[at] - reference[at]; \
            type divisor = reference[at] + epsilon; \
            values[0][at] = name##_absolute(error); \
            values[1][at] = error * error; \
            values[2][at] = name##_absolute(error / divisor); \
            if (values[0][at] > largest || values[0][at] != values[0][at]) \
                largest = values[0][at]; \
        } \
        errors.mean_absolute = name##_mean(values[0], count); \
        errors.mean_squared = name##_mean(values[1], count); \
        errors.largest = (float)largest; \
        errors.relative = name##_mean(values[2], count); \
        return errors; \
    }

#include "demo_data.h"

DEFINE_ERRORS(float, float)
DEFINE_ERRORS(double, double)

/* The shortest decimal number that reads back as the value, laid out as numpy does. */
static void print_value(const char *name, float value)
{
    char text[24];
    int digits = 0, exponent;
    if (value != value || value - value != 0) {
        printf("'%s': %s", name, value != value ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    do
        snprintf(text, sizeof text, "%.*e", digits, (double)value);
    while (strtof(text, NULL) != value && digits++ < 9);
    exponent = atoi(strchr(text, 'e') + 1);
    if (value == 0)
        printf("'%s': 0.0", name);
    else if (exponent < -4 || exponent >= 16)
        printf("'%s': %s", name, text);
    else
        printf("'%s': %.*f", name, digits > exponent ? digits - exponent : 1, (double)value);
}

void print_errors(const char *reference, const struct errors *errors)
{
    printf("Error of FSA vs %s: {", reference);
    print_value("MAE", errors->mean_absolute);
    printf(", ");
    print_value("MSE", errors->mean_squared);
    printf(", ");
    print_value("MaxErr", errors->largest);
    printf(", ");
    print_value("RelErr", errors->relative);
    printf("}\n");
}
