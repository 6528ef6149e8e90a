/* The paths that this processor has. */
#include "parts.h"

extern const Path path_plain;
#if defined(NNZ_X86)
extern const Path path_avx2, path_vnni;
#endif

int nnz_paths(void)
{
#if defined(NNZ_X86)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt"))
        return 1;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi2") &&
        __builtin_cpu_supports("avx512vnni"))
        return 3;
    return 2;
#else
    return 1;
#endif
}

const Path *path_numbered(int number)
{
#if defined(NNZ_X86)
    static const Path *const paths[] = {&path_plain, &path_avx2, &path_vnni};
    return paths[number];
#else
    (void)number;
    return &path_plain;
#endif
}

const char *nnz_path_name(int path) { return path < 0 || path >= nnz_paths() ? "" : path_numbered(path)->name; }
