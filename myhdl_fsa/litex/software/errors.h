/* The published figures of a result against a reference, by the CPU, with the roundings that numpy has. */
#ifndef ERRORS_H
#define ERRORS_H

#include <stdint.h>

struct errors {
    float mean_absolute, mean_squared, largest, relative;
};

/* Of count values. All arithmetic is in float; epsilon is what the relative error's divisor is kept off zero by. */
struct errors errors_of_floats(const float *result, const float *reference, float epsilon, uint32_t count);

/* The same in double. */
struct errors errors_of_doubles(const float *result, const double *reference, double epsilon, uint32_t count);

/* Prints a line as fsa-sim has it, each value with the fewest digits that give it back. */
void print_errors(const char *reference, const struct errors *errors);

#endif
