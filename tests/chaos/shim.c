/* Loaded into a node's processes (LD_PRELOAD): another clock, a disk that fails, an address of its own.
 *
 * Orders stand in the file CHAOS_ORDERS names, which every process of a node maps; so they change while
 * the node runs. The kernel knows nothing of the other clock: instants until which a thread waits are
 * translated on their way to it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct orders {
    volatile int64_t clock_offset_ns;
    volatile int32_t write_errno; /* what a write to the disk fails with; 0 = it works */
    volatile int32_t sync_errno;  /* what fsync fails with; 0 = it works */
    volatile int32_t delay_us;    /* how much longer each fsync takes */
    volatile int32_t short_write; /* whether a failing write leaves half of its bytes behind */
};

static struct orders nothing;
static struct orders *orders = &nothing;
static const char *disk;
static size_t disk_bytes;
static struct in_addr source;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate64)(int, off64_t);
static int (*real_sem_timedwait)(sem_t *, const struct timespec *);
static long (*real_syscall)(long, ...);
static int (*real_connect)(int, const struct sockaddr *, socklen_t);

#define FIND(name) \
    if (!real_##name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    FIND(clock_gettime);
    FIND(pwrite64);
    FIND(write);
    FIND(fsync);
    FIND(fdatasync);
    FIND(ftruncate64);
    FIND(sem_timedwait);
    FIND(syscall);
    FIND(connect);
    const char *address = getenv("CHAOS_SOURCE");
    if (address) inet_aton(address, &source);
    disk = getenv("CHAOS_DISK");
    disk_bytes = disk ? strlen(disk) : 0;
    const char *file = getenv("CHAOS_ORDERS");
    int descriptor = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor < 0) return;
    void *mapped = mmap(NULL, sizeof(struct orders), PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapped != MAP_FAILED) orders = mapped;
    close(descriptor);
}

/* The clock. */

static void shift(struct timespec *now, int64_t by_ns) {
    int64_t total = (int64_t)now->tv_nsec + by_ns % 1000000000;
    now->tv_sec += by_ns / 1000000000 + (total >= 1000000000) - (total < 0);
    now->tv_nsec = (total + 1000000000) % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    FIND(clock_gettime);
    int status = real_clock_gettime(clock, now);
    int64_t offset = orders->clock_offset_ns;
    if (!status && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(now, offset);
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec spec;
    FIND(clock_gettime);
    real_clock_gettime(CLOCK_REALTIME, &spec);
    shift(&spec, orders->clock_offset_ns);
    now->tv_sec = spec.tv_sec;
    now->tv_usec = spec.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec spec;
    FIND(clock_gettime);
    real_clock_gettime(CLOCK_REALTIME, &spec);
    shift(&spec, orders->clock_offset_ns);
    if (into) *into = spec.tv_sec;
    return spec.tv_sec;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec true_until = *until;
    FIND(sem_timedwait);
    shift(&true_until, -orders->clock_offset_ns);
    return real_sem_timedwait(semaphore, &true_until);
}

/* Abseil, on which gRPC stands, waits by system call until an instant of the clock. */
long syscall(long number, ...) {
    va_list list;
    long a[6];
    va_start(list, number);
    for (int at = 0; at < 6; at++) a[at] = va_arg(list, long);
    va_end(list);
    FIND(syscall);
    struct timespec until;
    if (number == SYS_futex && a[3] && orders->clock_offset_ns &&
        (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && a[1] & FUTEX_CLOCK_REALTIME) {
        until = *(struct timespec *)a[3];
        shift(&until, -orders->clock_offset_ns);
        a[3] = (long)&until;
    }
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The disk: what lies under CHAOS_DISK. */

static int is_on_disk(int descriptor) {
    char link[64], path[PATH_MAX];
    if (!disk_bytes) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length >= (ssize_t)disk_bytes && !memcmp(path, disk, disk_bytes);
}

static int write_fails(int descriptor) { return orders->write_errno && is_on_disk(descriptor); }

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    FIND(pwrite64);
    if (!write_fails(descriptor)) return real_pwrite64(descriptor, bytes, count, offset);
    if (orders->short_write && count > 1) return real_pwrite64(descriptor, bytes, count / 2, offset);
    errno = orders->write_errno;
    return -1;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite64(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    FIND(write);
    if (!write_fails(descriptor)) return real_write(descriptor, bytes, count);
    errno = orders->write_errno;
    return -1;
}

int ftruncate64(int descriptor, off64_t length) {
    FIND(ftruncate64);
    if (!write_fails(descriptor)) return real_ftruncate64(descriptor, length);
    errno = orders->write_errno;
    return -1;
}

int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

static int sync_fails(int descriptor) {
    int32_t delay = orders->delay_us;
    if (!orders->sync_errno && !delay) return 0;
    if (!is_on_disk(descriptor)) return 0;
    if (delay) usleep((useconds_t)delay);
    return orders->sync_errno;
}

int fsync(int descriptor) {
    FIND(fsync);
    int failed = sync_fails(descriptor);
    if (!failed) return real_fsync(descriptor);
    errno = failed;
    return -1;
}

int fdatasync(int descriptor) {
    FIND(fdatasync);
    int failed = sync_fails(descriptor);
    if (!failed) return real_fdatasync(descriptor);
    errno = failed;
    return -1;
}

/* The network: connections to this machine begin at the node's own address, so that a proxy knows whose they are. */

static void bind_source(int descriptor, const struct sockaddr *to) {
    if (to->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)to;
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = source};
        if ((ntohl(four->sin_addr.s_addr) >> 24) == 127) bind(descriptor, (void *)&from, sizeof from);
    } else if (to->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)to;
        struct sockaddr_in6 from = {.sin6_family = AF_INET6};
        if (!IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) || six->sin6_addr.s6_addr[12] != 127) return;
        memcpy(&from.sin6_addr, &six->sin6_addr, 12);
        memcpy(&from.sin6_addr.s6_addr[12], &source, 4);
        bind(descriptor, (void *)&from, sizeof from);
    }
}

int connect(int descriptor, const struct sockaddr *to, socklen_t length) {
    FIND(connect);
    if (source.s_addr && to && length >= sizeof(struct sockaddr_in)) {
        int saved = errno, on = 1;
        setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        bind_source(descriptor, to); /* one that is bound already stays so */
        errno = saved;
    }
    return real_connect(descriptor, to, length);
}
