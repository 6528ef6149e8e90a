/* Probability tables: entropy.frequencies and entropy.sign_weights in C, and the model that holds them. */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

__extension__ typedef unsigned __int128 Wide;

enum { FIXED = 62, ESCAPE_WEIGHT = 1 << 8 };

static const uint64_t QUARTER_OCTAVES[4] = {1073741824, 1276901417, 1518500250, 1805811301};

static uint64_t times(uint64_t a, uint64_t b) { return (uint64_t)(((Wide)a * b) >> FIXED); }

/* Frequencies of one sign of 0..limit and, last, of the escape; returns limit. */
static int32_t frequencies(int table, uint32_t *found)
{
    Wide odds = (Wide)QUARTER_OCTAVES[table % 4] << (table / 4);
    uint64_t root = (uint64_t)((odds << FIXED) / (((Wide)1 << 40) + odds));
    uint64_t ratio = times(root, root);
    uint64_t one_sign = (uint64_t)(((Wide)root * (((uint64_t)1 << FIXED) - ratio)) >> (FIXED + 1));
    uint64_t beyond = root;
    int32_t limit = 15;
    for (int k = 0; k < limit; k++)
        beyond = times(beyond, ratio);
    while (limit < LARGEST && beyond >> (FIXED - 13)) {
        for (int k = 0; k < limit + 1; k++)
            beyond = times(beyond, ratio);
        limit = 2 * limit + 1;
    }
    const uint32_t total = 1u << PRECISION;
    uint32_t escape = ESCAPE_WEIGHT + (uint32_t)(((Wide)beyond << PRECISION) >> FIXED);
    uint32_t share = total - escape - (2 * (uint32_t)limit + 1), sum = 0;
    for (int32_t k = 1; k <= limit; k++) {
        found[k] = 1 + (uint32_t)times(one_sign, share);
        sum += found[k];
        one_sign = times(one_sign, ratio);
    }
    found[0] = total - escape - 2 * sum;
    found[limit + 1] = escape;
    return limit;
}

uint8_t silent_table(int64_t zeros, int64_t others)
{
    int table = 1;
    while (table < TABLES - 1) {
        const int next = table + 1;
        const int64_t odds = (int64_t)((QUARTER_OCTAVES[next % 4] << (next / 4)) >> 20);
        if (odds * zeros > others << 20)
            break;
        table = next;
    }
    return (uint8_t)table;
}

static int make_table(Table *table, int number)
{
    uint32_t found[LARGEST + 2];
    int32_t limit = table->limit = frequencies(number, found);
    table->one_sided = malloc(sizeof(uint32_t) * (size_t)(limit + 3));
    table->two_sided = malloc(sizeof(uint32_t) * (size_t)(2 * limit + 3));
    if (!table->one_sided || !table->two_sided)
        return NNZ_MEMORY;
    uint32_t one = 0, two = 0;
    for (int32_t k = 0; k <= limit + 1; k++) {
        table->one_sided[k] = one;
        one += k == 0 || k > limit ? found[k] : 2 * found[k];
    }
    table->one_sided[limit + 2] = one;
    for (int32_t k = 0; k <= 2 * limit + 1; k++) {
        table->two_sided[k] = two;
        two += found[k > 2 * limit ? limit + 1 : k < limit ? limit - k : k - limit];
    }
    table->two_sided[2 * limit + 2] = two;
    for (uint32_t high = 0, k = 0; high < 1u << QUICK_BITS; high++) {
        while (table->one_sided[k + 1] <= high << (PRECISION - QUICK_BITS))
            k++;
        table->quick[high] = (uint16_t)k;
    }
    return NNZ_OK;
}

int make_tables(Model *model)
{
    for (int number = 0; number < SIGN_CLASSES; number++) {
        int quarters = 2 * (number - SIGN_CLASSES / 2) + 40;
        Wide odds = (Wide)QUARTER_OCTAVES[quarters % 4] << (quarters / 4);
        model->positive[number] = (uint32_t)((odds << PRECISION) / (((Wide)1 << 40) + odds)) & ~0xFFu;
    }
    for (int number = 0; number < TABLES; number++)
        if (make_table(&model->table[number], number) != NNZ_OK)
            return NNZ_MEMORY;
    return NNZ_OK;
}

void free_tables(Model *model)
{
    for (int number = 0; number < TABLES; number++) {
        free(model->table[number].one_sided);
        free(model->table[number].two_sided);
    }
}

int nnz_version(void) { return NNZ_VERSION; }

Model *nnz_model_new(int path, const int8_t *first, const int32_t *first_bias, const int8_t *second,
                     const int32_t *second_bias, const int8_t *third, const int32_t *third_bias,
                     const int32_t *expected)
{
    if (path < 0 || path >= nnz_paths())
        return NULL;
    Model *model = calloc(1, sizeof *model);
    if (!model)
        return NULL;
    model->path = path_numbered(path);
    memcpy(model->first, first, sizeof model->first);
    memcpy(model->first_bias, first_bias, sizeof model->first_bias);
    memcpy(model->second, second, sizeof model->second);
    memcpy(model->second_bias, second_bias, sizeof model->second_bias);
    memcpy(model->third, third, sizeof model->third);
    memcpy(model->third_bias, third_bias, sizeof model->third_bias);
    memcpy(model->expected, expected, sizeof model->expected);
    if (make_tables(model) == NNZ_OK)
        return model;
    nnz_model_free(model);
    return NULL;
}

void nnz_model_free(Model *model)
{
    if (model)
        free_tables(model);
    free(model);
}

int nnz_table_limit(const Model *model, int table)
{
    return table < 0 || table >= TABLES ? -1 : model->table[table].limit;
}

int nnz_table_frequencies(const Model *model, int table, uint32_t *frequencies)
{
    if (table < 0 || table >= TABLES)
        return NNZ_ARGUMENT;
    const Table *found = &model->table[table];
    for (int32_t k = 0; k <= found->limit + 1; k++)
        frequencies[k] = found->two_sided[found->limit + k + 1] - found->two_sided[found->limit + k];
    return NNZ_OK;
}
