{{ ("myhdl-fsa " ~ version ~ ", " ~ name ~ ": the device's registers and instructions, for software. Made by fsa-convert "
    ~ "--header from the tables that the hardware is made from.") | comment }}
#ifndef {{ C }}REGISTERS_H
#define {{ C }}REGISTERS_H

#include <stdint.h>
{% for group in groups %}

{{ group.title | comment }}

{% for constant in group.constants %}
{% if constant.meaning %}
{{ constant.meaning | comment }}
{% endif %}
#define {{ C }}{{ constant.name }} {{ constant.value }}
{% endfor %}
{% endfor %}

/* Registers: base is the address at which the device's AXI4-Lite port is seen, offset a {{ C }}REGISTER_... */

static inline void {{ c }}write(volatile void *base, uint32_t offset, uint32_t value)
{
    ((volatile uint32_t *)base)[offset / 4u] = value;
}

static inline uint32_t {{ c }}read(const volatile void *base, uint32_t offset)
{
    return ((const volatile uint32_t *)base)[offset / 4u];
}

/* Pushes instruction words; a write waits while the queue is full and the device active. */
static inline void {{ c }}push(volatile void *base, const uint32_t *words, uint32_t count)
{
    uint32_t at;
    for (at = 0; at < count; at++)
        {{ c }}write(base, {{ C }}REGISTER_QUEUE, words[at]);
}

/* Instructions: a structure of each kind, and a function that writes its words and returns how many they are, or
   writes nothing and returns 0 where a field is not from its _MIN (0 where it has none) to its _MAX. Bit 32*w + b of
   an instruction is bit b of its word w; a field stands from bit _LOW on and has _WIDTH bits; where there is _HIGH_LOW
   its high bits, _HIGH_WIDTH of them, stand from there on. */

static inline void {{ c }}insert(uint32_t *words, uint32_t low, uint32_t width, uint64_t value)
{
    while (width != 0u) {
        const uint32_t at = low % 32u;
        const uint32_t count = width < 32u - at ? width : 32u - at;
        words[low / 32u] |= ((uint32_t)value & (0xFFFFFFFFu >> (32u - count))) << at;
        value >>= count;
        low += count;
        width -= count;
    }
}
{% for kind in kinds %}
{% set K = C ~ kind.name.upper() ~ "_" %}

{{ kind.meaning | comment }}
struct {{ c }}{{ kind.name }} {
{% for field in kind.fields %}
{{ field.meaning | comment(4) }}
    {{ field.type }} {{ field.name }};
{% endfor %}
};

#define {{ K }}WORDS {{ kind.words }}u
{% for field in kind.fields %}
{% for constant in field.constants %}
#define {{ K }}{{ constant.name }} {{ constant.value }}
{% endfor %}
{% endfor %}

static inline uint32_t {{ c }}encode_{{ kind.name }}(const struct {{ c }}{{ kind.name }} *instruction, uint32_t *words)
{
    uint32_t word;
{% for field in kind.fields %}
{% if field.signed %}
    if (instruction->{{ field.name }} < {{ K }}{{ field.name.upper() }}_MIN)
        return 0;
{% endif %}
    if (instruction->{{ field.name }} > {{ K }}{{ field.name.upper() }}_MAX)
        return 0;
{% endfor %}
    for (word = 0; word < {{ K }}WORDS; word++)
        words[word] = 0;
    {{ c }}insert(words, {{ C }}KIND_LOW, {{ C }}KIND_WIDTH, {{ C }}KIND_{{ kind.name.upper() }});
{% for field in kind.fields %}
{% set F = K ~ field.name.upper() %}
    {{ c }}insert(words, {{ F }}_LOW, {{ F }}_WIDTH,
        (uint64_t)instruction->{{ field.name }});
{% if field.divided %}
    {{ c }}insert(words, {{ F }}_HIGH_LOW, {{ F }}_HIGH_WIDTH,
        (uint64_t)instruction->{{ field.name }} >> {{ F }}_WIDTH);
{% endif %}
{% endfor %}
    return {{ K }}WORDS;
}
{% endfor %}

#endif
