/* {{ name }}: {{ queries }} queries and {{ keys }} keys from seed {{ seed }}. Made from the kernel and the golden
   model. */
#ifndef DEMO_DATA_H
#define DEMO_DATA_H

#include <stdint.h>

#define DEMO_NAME {{ name | string_literal }}
#define DEMO_WORDS {{ words | length }}u
#define DEMO_INPUTS {{ inputs | length }}u
#define DEMO_QUERIES {{ queries }}u
#define DEMO_QUERIES_IN_TILES {{ queries_in_tiles }}u
#define DEMO_COLUMNS {{ columns }}u
#define DEMO_VALUES {{ queries * columns }}u
#define DEMO_OUTPUT {{ "0x%Xu" % output }}
#define DEMO_SCALE_ELEM {{ "0x%Xu" % scale.elem }}
#define DEMO_SCALE_ACC {{ "0x%Xu" % scale.acc }}
#define DEMO_TORCH_EPSILON {{ epsilon }}
#define DEMO_COUNTERS {{ counters | length }}u

static const uint32_t demo_words[DEMO_WORDS] __attribute__((unused)) = {
{{ words | table }}
};

{% for data in inputs %}
static const uint8_t demo_input_{{ loop.index0 }}[] __attribute__((unused)) = {
{{ data.bytes | table }}
};

{% endfor %}
static const struct {
    uint32_t address, size;
    const uint8_t *bytes;
} demo_inputs[DEMO_INPUTS] __attribute__((unused)) = {
{% for data in inputs %}
    { {{ "0x%Xu" % data.address }}, sizeof demo_input_{{ loop.index0 }}, demo_input_{{ loop.index0 }} },
{% endfor %}
};

/* O^T as memory must hold it */
static const uint8_t demo_expected[] __attribute__((unused)) = {
{{ expected | table }}
};

/* torch's attention, and that in float64, on the same tensors */
static const float demo_torch[DEMO_VALUES] __attribute__((unused)) = {
{{ torch | table }}
};

static const double demo_float64[DEMO_VALUES] __attribute__((unused)) = {
{{ float64 | table }}
};

/* the published names of the counters, and their registers */
static const struct {
    const char *form;
    uint32_t offset;
} demo_counters[DEMO_COUNTERS] __attribute__((unused)) = {
{% for form, offset in counters %}
    { {{ form | string_literal }}, {{ "0x%02Xu" % offset }} },
{% endfor %}
};

#endif
