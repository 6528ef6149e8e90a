/* Asymmetric numeral systems over the model's tables: nnzip/coder/ans.py and entropy.py, byte for byte.
 *
 * A stream is 32-bit words; the state is kept at 2^32 or more while there are words. A chunk of symbols is coded
 * grouped by table; then follow its escapes: the classes of all (sign and bit length of the excess), then the low 16 of
 * the bits below the leading one of all, then the higher bits of all.
 */
#ifndef NNZ_ANS_H
#define NNZ_ANS_H

#include "parts.h"

enum { ESCAPE_CLASSES = 33, BOTH_ESCAPE_CLASSES = 66 };

static const uint32_t QUANTILE = ((uint32_t)1 << PRECISION) - 1;

/* What sorting a chunk by its tables needs. */
typedef struct {
    Buffer order, escapes, excess, lengths;
} Sorting;

void release_sorting(Sorting *sorting);

/* Positions of the symbols in stable order of their tables, and where each table's begin, [TABLES + 1]. */
int group(const uint8_t *tables, int64_t count, Sorting *sorting, int64_t *starts);

static inline int bits_below(int length) { return length > 0 ? length - 1 : 0; }
static inline int low_bits(int length) { return bits_below(length) < 16 ? bits_below(length) : 16; }
static inline int high_bits(int length) { return bits_below(length) - low_bits(length); }

#endif
