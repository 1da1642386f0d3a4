/* Preloaded into a process: lets calls of the C library fail as file systems do, and moves its clock.

   FAILS: `<call> <errno> <times> <part of the path>`, of open, link, rename, flock, fsync or fsync_folder; of `lost_link` and
   `lost_rename` the call is carried out before it fails, as where a network loses the answer.
   CLOCK_BEHIND: seconds that the clock of the day is behind. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int left = -1;

static int fails(const char *call, const char *path) {
    char which[32], part[256] = "";
    int code, times;
    const char *asked = getenv("FAILS");
    if (asked == NULL || sscanf(asked, "%31s %d %d %255s", which, &code, &times, part) < 3) return 0;
    if (strcmp(which, call) != 0 || strstr(path, part) == NULL) return 0;
    if (left < 0) left = times;
    if (left == 0) return 0;
    left--;
    errno = code;
    return 1;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = va_arg(rest, mode_t);                                     \
        va_end(rest);                                                           \
        if (fails("open", path)) return -1;                                     \
        return REAL(int, #name, const char *, int, mode_t)(path, flags, mode);  \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                      \
    int name(int folder, const char *path, int flags, ...) {                              \
        va_list rest;                                                                     \
        va_start(rest, flags);                                                            \
        mode_t mode = va_arg(rest, mode_t);                                               \
        va_end(rest);                                                                     \
        if (fails("open", path)) return -1;                                               \
        return REAL(int, #name, int, const char *, int, mode_t)(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

int link(const char *from, const char *to) {
    if (fails("link", to)) return -1;
    int done = REAL(int, "link", const char *, const char *)(from, to);
    return done == 0 && fails("lost_link", to) ? -1 : done;
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    if (fails("link", to)) return -1;
    int done = REAL(int, "linkat", int, const char *, int, const char *, int)(a, from, b, to, flags);
    return done == 0 && fails("lost_link", to) ? -1 : done;
}

int rename(const char *from, const char *to) {
    if (fails("rename", to)) return -1;
    int done = REAL(int, "rename", const char *, const char *)(from, to);
    return done == 0 && fails("lost_rename", to) ? -1 : done;
}

static const char *path_of(int file) {
    static char path[4096];
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    memset(path, 0, sizeof path);
    return readlink(name, path, sizeof path - 1) > 0 ? path : "";
}

int fsync(int file) {
    struct stat status;
    if (fails("fsync", path_of(file))) return -1;
    if (fstat(file, &status) == 0 && S_ISDIR(status.st_mode) && fails("fsync_folder", path_of(file))) return -1;
    return REAL(int, "fsync", int)(file);
}

int flock(int file, int operation) {
    return fails("flock", path_of(file)) ? -1 : REAL(int, "flock", int, int)(file, operation);
}

static long behind(void) {
    const char *asked = getenv("CLOCK_BEHIND");
    return asked == NULL ? 0 : atol(asked);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = REAL(int, "clock_gettime", clockid_t, struct timespec *)(clock, now);
    if (done == 0 && clock == CLOCK_REALTIME) now->tv_sec -= behind();
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int done = REAL(int, "gettimeofday", struct timeval *, void *)(now, zone);
    if (done == 0) now->tv_sec -= behind();
    return done;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where != NULL) *where = now.tv_sec;
    return now.tv_sec;
}
