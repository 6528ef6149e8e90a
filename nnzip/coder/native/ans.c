/* Encoding, and what it shares with decoding. */
#include "ans.h"

#include <stdlib.h>
#include <string.h>

struct Encoder {
    const Model *model;
    uint64_t state;
    uint32_t *words;
    size_t count, room;
    Sorting sorting;
};

void release_sorting(Sorting *sorting)
{
    release(&sorting->order);
    release(&sorting->escapes);
    release(&sorting->excess);
    release(&sorting->lengths);
}

/* --- symbols in groups of their tables --------------------------------------------------------------------------- */

int group(const uint8_t *tables, int64_t count, Sorting *sorting, int64_t *starts)
{
    int32_t found[4][256];
    if (count > INT32_MAX)
        return NNZ_ARGUMENT;
    memset(found, 0, sizeof found);
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int k = 0; k < 4; k++)
            found[k][tables[i + k]]++;
    for (; i < count; i++)
        found[0][tables[i]]++;
    int64_t next[TABLES], sum = 0;
    for (int table = 0; table < TABLES; table++) {
        starts[table] = next[table] = sum;
        sum += found[0][table] + found[1][table] + found[2][table] + found[3][table];
    }
    starts[TABLES] = sum;
    if (sum != count)
        return NNZ_ARGUMENT;
    if (reserve(&sorting->order, (size_t)count, sizeof(int32_t)) != NNZ_OK)
        return NNZ_MEMORY;
    int32_t *order = sorting->order.at;
    for (i = 0; i < count; i++)
        order[next[tables[i]]++] = (int32_t)i;
    return NNZ_OK;
}

/* --- encoding ---------------------------------------------------------------------------------------------------- */

Encoder *nnz_encoder_new(const Model *model)
{
    Encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder) {
        encoder->model = model;
        encoder->state = 1;
    }
    return encoder;
}

void nnz_encoder_free(Encoder *encoder)
{
    if (!encoder)
        return;
    release_sorting(&encoder->sorting);
    free(encoder->words);
    free(encoder);
}

static void state_bytes(uint64_t state, uint8_t *bytes)
{
    for (int k = 0; k < 8; k++)
        bytes[k] = (uint8_t)(state >> (8 * k));
}

int64_t nnz_encoder_size(const Encoder *encoder)
{
    uint8_t bytes[8];
    int64_t size = 8;
    state_bytes(encoder->state, bytes);
    while (size && !bytes[size - 1])
        size--;
    return size + 4 * (int64_t)encoder->count;
}

void nnz_encoder_bytes(const Encoder *encoder, uint8_t *bytes)
{
    uint8_t last[8];
    size_t size = 4 * encoder->count;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(encoder->words[i / 4] >> (8 * (i % 4)));
    state_bytes(encoder->state, last);
    memcpy(bytes + size, last, (size_t)nnz_encoder_size(encoder) - size);
}

/* Room for `count` further words: no symbol adds more than one. */
static int make_room(Encoder *encoder, size_t count)
{
    if (encoder->room - encoder->count >= count)
        return NNZ_OK;
    size_t room = 2 * encoder->room > encoder->count + count ? 2 * encoder->room : encoder->count + count;
    uint32_t *words = room > SIZE_MAX / sizeof *words ? NULL : realloc(encoder->words, room * sizeof *words);
    if (!words)
        return NNZ_MEMORY;
    encoder->words = words;
    encoder->room = room;
    return NNZ_OK;
}

static inline void push(Encoder *encoder, uint32_t left, uint32_t width)
{
    if (encoder->state >> (64 - PRECISION) >= width) {
        encoder->words[encoder->count++] = (uint32_t)encoder->state;
        encoder->state >>= 32;
    }
    uint64_t prefix = encoder->state / width;
    encoder->state = (prefix << PRECISION) + (encoder->state - prefix * width) + left;
}

static void push_uniform(Encoder *encoder, uint32_t size, uint32_t symbol)
{
    uint32_t each = ((uint32_t)1 << PRECISION) / size;
    push(encoder, symbol * each, symbol == size - 1 ? ((uint32_t)1 << PRECISION) - symbol * each : each);
}

static int bit_length(uint64_t value) { return value ? 64 - __builtin_clzll(value) : 0; }

/* Escapes [count] in sorting->excess; odd entries of sorting->lengths are of negative symbols. */
static void push_escapes(Encoder *encoder, int64_t count, int both_signs, Sorting *sorting)
{
    const uint64_t *excess = sorting->excess.at;
    const uint8_t *negative = sorting->lengths.at;
    for (int high = 1; high >= 0; high--)
        for (int64_t k = count - 1; k >= 0; k--) {
            int length = bit_length(excess[k]), width = high ? high_bits(length) : low_bits(length);
            uint64_t rest = length ? excess[k] - ((uint64_t)1 << bits_below(length)) : 0;
            if (width)
                push_uniform(encoder, (uint32_t)1 << width, high ? (uint32_t)(rest >> 16) : (uint32_t)rest & 0xFFFF);
        }
    for (int64_t k = count - 1; k >= 0; k--) {
        uint32_t length = (uint32_t)bit_length(excess[k]);
        if (both_signs)
            push_uniform(encoder, BOTH_ESCAPE_CLASSES, 2 * length + negative[k]);
        else
            push_uniform(encoder, ESCAPE_CLASSES, length);
    }
}

static uint64_t magnitude_of(int64_t symbol) { return symbol < 0 ? 0 - (uint64_t)symbol : (uint64_t)symbol; }

/* Symbols [count]: of both signs, or magnitudes. */
static int push_symbols(Encoder *encoder, const int64_t *symbols, const uint8_t *tables, int64_t count, int both_signs)
{
    Sorting *sorting = &encoder->sorting;
    const Table *table = encoder->model->table;
    int64_t starts[TABLES + 1], escaped = 0;
    int wrong = group(tables, count, sorting, starts);
    if (wrong != NNZ_OK)
        return wrong;
    const int32_t *order = sorting->order.at;
    for (int64_t i = 0; i < count; i++)
        escaped += magnitude_of(symbols[i]) > (uint64_t)table[tables[i]].limit;
    if (make_room(encoder, (size_t)count + 3 * (size_t)escaped) != NNZ_OK)
        return NNZ_MEMORY;
    if (escaped) {
        if (reserve(&sorting->excess, (size_t)escaped, sizeof(uint64_t)) != NNZ_OK ||
            reserve(&sorting->lengths, (size_t)escaped, 1) != NNZ_OK)
            return NNZ_MEMORY;
        uint64_t *excess = sorting->excess.at;
        uint8_t *negative = sorting->lengths.at;
        for (int64_t k = 0, found = 0; k < count; k++) {
            int64_t symbol = symbols[order[k]];
            uint64_t limit = (uint64_t)table[tables[order[k]]].limit;
            if (magnitude_of(symbol) > limit) {
                excess[found] = magnitude_of(symbol) - limit - 1;
                if (excess[found] >> 32)
                    return NNZ_ARGUMENT;
                negative[found++] = symbol < 0;
            }
        }
        push_escapes(encoder, escaped, both_signs, sorting);
    }
    for (int number = TABLES - 1; number >= 0; number--) {
        const int64_t limit = table[number].limit;
        const uint32_t *from = both_signs ? table[number].two_sided : table[number].one_sided;
        for (int64_t k = starts[number + 1] - 1; k >= starts[number]; k--) {
            int64_t symbol = symbols[order[k]], index = both_signs ? symbol + limit : symbol;
            if (magnitude_of(symbol) > (uint64_t)limit)
                index = both_signs ? 2 * limit + 1 : limit + 1;
            push(encoder, from[index], from[index + 1] - from[index]);
        }
    }
    return NNZ_OK;
}

int nnz_push(Encoder *encoder, const int64_t *symbols, const uint8_t *tables, int64_t count, int both_signs)
{
    if (count <= 0)
        return count < 0 ? NNZ_ARGUMENT : NNZ_OK;
    for (int64_t i = 0; i < count && !both_signs; i++)
        if (symbols[i] < 0)
            return NNZ_ARGUMENT;
    return push_symbols(encoder, symbols, tables, count, both_signs);
}

int nnz_push_signs(Encoder *encoder, const uint8_t *positive, const uint8_t *classes, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (classes[i] >= SIGN_CLASSES)
            return NNZ_ARGUMENT;
    if (count < 0)
        return NNZ_ARGUMENT;
    if (make_room(encoder, (size_t)count) != NNZ_OK)
        return NNZ_MEMORY;
    for (int64_t i = count - 1; i >= 0; i--) {
        uint32_t width = encoder->model->positive[classes[i]], negative = QUANTILE + 1 - width;
        push(encoder, positive[i] ? negative : 0, positive[i] ? width : negative);
    }
    return NNZ_OK;
}

/* The chunks of one phase of a subband: magnitudes of `rest` [count], which become magnitudes here, then the signs. */
int push_phase(Encoder *encoder, int64_t *rest, const uint8_t *tables, const uint8_t *classes, int64_t count)
{
    if (make_room(encoder, (size_t)count) != NNZ_OK)
        return NNZ_MEMORY;
    for (int64_t i = count - 1; i >= 0; i--) {
        if (rest[i]) {
            uint32_t positive = encoder->model->positive[classes[i]], negative = QUANTILE + 1 - positive;
            push(encoder, rest[i] > 0 ? negative : 0, rest[i] > 0 ? positive : negative);
            rest[i] = rest[i] < 0 ? -rest[i] : rest[i];
        }
    }
    return push_symbols(encoder, rest, tables, count, 0);
}
