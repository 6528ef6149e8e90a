/* The paths that this processor has. Asked of the processor itself: not every compiler's library knows. */
#include "parts.h"

extern const Path path_plain;

#if defined(NNZ_X86)
#include <cpuid.h>

extern const Path path_avx2, path_vnni;

static const Path *const PATHS[] = {&path_plain, &path_avx2, &path_vnni};

enum { POPCNT = 1 << 23, OSXSAVE = 1 << 27, LZCNT = 1 << 5, BMI = 1 << 3, AVX2 = 1 << 5, BMI2 = 1 << 8 };
enum { F = 1 << 16, DQ = 1 << 17, BW = 1 << 30, VBMI2 = 1 << 6, VNNI = 1 << 11 };
static const unsigned VL = 1u << 31;
enum { YMM_STATE = 0x06, ZMM_STATE = 0xE6 }; /* registers that the system saves */

static int all(unsigned found, unsigned wanted) { return (found & wanted) == wanted; }

int nnz_paths(void)
{
    unsigned a, b, c, d, state, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !all(c, POPCNT | OSXSAVE))
        return 1;
    __asm__("xgetbv" : "=a"(state), "=d"(high) : "c"(0));
    if (!all(state, YMM_STATE) || !__get_cpuid(0x80000001u, &a, &b, &c, &d) || !all(c, LZCNT))
        return 1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !all(b, BMI | AVX2 | BMI2))
        return 1;
    return all(state, ZMM_STATE) && all(b, F | DQ | BW | VL) && all(c, VBMI2 | VNNI) ? 3 : 2;
}

const Path *path_numbered(int number) { return PATHS[number]; }

#else

int nnz_paths(void) { return 1; }

const Path *path_numbered(int number)
{
    (void)number;
    return &path_plain;
}

#endif

const char *nnz_path_name(int path) { return path < 0 || path >= nnz_paths() ? "" : path_numbered(path)->name; }
