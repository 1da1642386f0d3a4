/* Preloaded into a process: lets calls of the C library fail as file systems do, and moves its clock.

   FAILS: `<call> <errno> <times> <part of the path>`, of open, link, rename, flock, fsync or fsync_folder; of `lost_link` and
   `lost_rename` the call is carried out before it fails, as where a network loses the answer.
   ENDS: `<kill|USR2|full> <number> <part of the path>`: what comes at this change of what has that path, counted from 1.
   A process is killed before it, in the middle where it writes; a signal comes before it; or the disk is full from there
   on. `changes` says how many there were.
   CLOCK_BEHIND: seconds that the clock of the day is behind. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
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

static const char *path_of(int file) {
    static __thread char path[4096];
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    memset(path, 0, sizeof path);
    return readlink(name, path, sizeof path - 1) > 0 ? path : "";
}

static const char *path_in(int folder, const char *name) {
    static __thread char path[8192];
    if (folder == AT_FDCWD || name[0] == '/') return name;
    snprintf(path, sizeof path, "%s/%s", path_of(folder), name);
    return path;
}

static long changed = 0;

long changes(void) { return changed; }

enum { GOES_ON, IS_FULL, IS_KILLED };

static int next_change(const char *path) {
    char what[16], part[4096];
    long number;
    const char *asked = getenv("ENDS");
    if (asked == NULL || sscanf(asked, "%15s %ld %4095s", what, &number, part) < 3) return GOES_ON;
    if (strstr(path, part) == NULL) return GOES_ON;
    changed++;
    if (strcmp(what, "full") == 0) return changed >= number ? IS_FULL : GOES_ON;
    if (changed != number) return GOES_ON;
    if (strcmp(what, "USR2") == 0) kill(getpid(), SIGUSR2);
    return strcmp(what, "kill") == 0 ? IS_KILLED : GOES_ON;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether this change fails for want of room: what only takes away does not. */
static int has_no_room(const char *path, int takes_away) {
    int ends = next_change(path);
    if (ends == IS_KILLED) die();
    if (ends == GOES_ON || takes_away) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int file, const void *data, size_t size) {
    int ends = next_change(path_of(file));
    size_t half = size / 2;
    if (ends == GOES_ON) half = size;
    if (half > 0 || ends == GOES_ON) {
        ssize_t done = REAL(ssize_t, "write", int, const void *, size_t)(file, data, half);
        if (ends != IS_KILLED) return done;
    }
    if (ends == IS_KILLED) die();
    errno = ENOSPC;
    return -1;
}

ssize_t sendfile(int to, int from, off_t *at, size_t size) {
    if (has_no_room(path_of(to), 0)) return -1;
    return REAL(ssize_t, "sendfile", int, int, off_t *, size_t)(to, from, at, size);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
    if (has_no_room(path_of(to), 0)) return -1;
    return REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t)(to, from, at, size);
}

int mkdir(const char *path, mode_t mode) {
    return has_no_room(path, 0) ? -1 : REAL(int, "mkdir", const char *, mode_t)(path, mode);
}

int rmdir(const char *path) {
    return has_no_room(path, 1) ? -1 : REAL(int, "rmdir", const char *)(path);
}

int unlink(const char *path) {
    return has_no_room(path, 1) ? -1 : REAL(int, "unlink", const char *)(path);
}

int unlinkat(int folder, const char *path, int flags) {
    if (has_no_room(path_in(folder, path), 1)) return -1;
    return REAL(int, "unlinkat", int, const char *, int)(folder, path, flags);
}

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = va_arg(rest, mode_t);                                     \
        va_end(rest);                                                           \
        if (fails("open", path)) return -1;                                     \
        if (flags & (O_CREAT | O_TRUNC) && has_no_room(path, 0)) return -1;     \
        return REAL(int, #name, const char *, int, mode_t)(path, flags, mode);  \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                        \
    int name(int folder, const char *path, int flags, ...) {                                \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t mode = va_arg(rest, mode_t);                                                 \
        va_end(rest);                                                                       \
        if (fails("open", path)) return -1;                                                 \
        if (flags & (O_CREAT | O_TRUNC) && has_no_room(path_in(folder, path), 0)) return -1; \
        return REAL(int, #name, int, const char *, int, mode_t)(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

int link(const char *from, const char *to) {
    if (fails("link", to) || has_no_room(to, 0)) return -1;
    int done = REAL(int, "link", const char *, const char *)(from, to);
    return done == 0 && fails("lost_link", to) ? -1 : done;
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    if (fails("link", to) || has_no_room(to, 0)) return -1;
    int done = REAL(int, "linkat", int, const char *, int, const char *, int)(a, from, b, to, flags);
    return done == 0 && fails("lost_link", to) ? -1 : done;
}

int rename(const char *from, const char *to) {
    if (fails("rename", to) || has_no_room(to, 0)) return -1;
    int done = REAL(int, "rename", const char *, const char *)(from, to);
    return done == 0 && fails("lost_rename", to) ? -1 : done;
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
