/* What a machine may do to a program, put between it and its C library (LD_PRELOAD): a wall clock that jumps, a disk that is slow.
 *
 * Both follow three numbers in a file that the harness writes while the program runs: microseconds that the wall clock is off, microseconds
 * that a flush takes longer, microseconds that a write to a place in a file takes longer. The monotonic clock stays as it is, as it does on a
 * machine whose clock is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct trouble { volatile int64_t clock_us, flush_us, write_us; };

static struct trouble none;
static struct trouble *trouble = &none;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begun(void) {
    const char *path = getenv("FAULTS_SHIM");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *there = mmap(NULL, sizeof(struct trouble), PROT_READ, MAP_SHARED, file, 0);
    if (there != MAP_FAILED) trouble = there;
    close(file);
}

static void slowly(int64_t us) {
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    if (us > 0) nanosleep(&pause, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int failed = real(clock, now);
    int64_t off_us = trouble->clock_us;
    if (!failed && off_us && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = now->tv_nsec + off_us % 1000000 * 1000;
        now->tv_sec += off_us / 1000000 + (ns >= 1000000000) - (ns < 0);
        now->tv_nsec = (ns + 1000000000) % 1000000000;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

int fsync(int file) {
    slowly(trouble->flush_us);
    return REAL(fsync)(file);
}

int fdatasync(int file) {
    slowly(trouble->flush_us);
    return REAL(fdatasync)(file);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    slowly(trouble->write_us);
    return REAL(pwrite)(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    slowly(trouble->write_us);
    return REAL(pwrite64)(file, bytes, count, at);
}
