/* Preloaded into the broker: at the n-th file operation below one directory it kills the process,
 * or has the call fail, or has it do half of its work. Which, stands in a `struct plan` in memory
 * that the broker shares with whoever tortures it; plan.py has the same struct.
 *
 * Left out: mmap(2), fallocate(2) and reads, which a broker may fail at without losing anything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { OPEN = 1, WRITE = 2, SYNC = 4, TRUNCATE = 8, RENAME = 16, REMOVE = 32, MAKE = 64, SENDFILE = 128 };
enum action { KILL_BEFORE = 1, KILL_AFTER = 2, KILL_IN_THE_MIDDLE = 3, FAIL = 4, DO_HALF = 5 };
#define LONGEST_PATH 512

struct plan {
    _Atomic int32_t armed; /* the fields below are written while this is 0 */
    int32_t calls;         /* the kinds of calls that count, as bits */
    int32_t action;
    int32_t error;      /* errno, for FAIL */
    int64_t first;      /* which of them it begins with, 1 for the next */
    int64_t times;      /* how many in a row */
    char within[128];   /* only paths that hold this */
    _Atomic int64_t seen;
    _Atomic int64_t fired;
    char where[LONGEST_PATH]; /* the path at which it fired first */
};

static struct plan *plan;
static char root[LONGEST_PATH];

/* From now on, calls below `directory` are looked at. */
void torture_watch(struct plan *shared, const char *directory) {
    snprintf(root, sizeof root, "%s", directory);
    plan = shared;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static int is_armed(enum call call) { return plan && plan->armed && (plan->calls & call); }

/* What is to happen at this call: 0 for nothing. */
static int due(enum call call, const char *path) {
    if (!is_armed(call) || strncmp(path, root, strlen(root)) || !strstr(path, plan->within)) return 0;
    int64_t number = atomic_fetch_add(&plan->seen, 1) + 1;
    if (number < plan->first || number >= plan->first + plan->times) return 0;
    if (atomic_fetch_add(&plan->fired, 1) == 0) snprintf(plan->where, sizeof plan->where, "%s", path);
    if (plan->action == KILL_BEFORE) die();
    return plan->action;
}

static int due_at(enum call call, int fd) {
    char link[64], path[LONGEST_PATH];
    if (!is_armed(call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return due(call, path);
}

/* The call itself, unless it is to fail; and death behind it. */
#define PERFORM(what, call)                                          \
    do {                                                             \
        int action_ = (what);                                        \
        if (action_ == FAIL) return errno = plan->error, -1;         \
        long result_ = (call);                                       \
        if (action_ == KILL_AFTER || action_ == KILL_IN_THE_MIDDLE) die(); \
        return result_;                                              \
    } while (0)

static size_t part_of(int action, size_t length) {
    return (action == DO_HALF || action == KILL_IN_THE_MIDDLE) && length > 1 ? length / 2 : length;
}

static int open_at(int directory, const char *path, int flags, mode_t mode) {
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    PERFORM(due(writes ? OPEN | MAKE : OPEN, path), syscall(SYS_openat, directory, path, flags, mode));
}

#define MODE                                  \
    mode_t mode = 0;                          \
    if (flags & (O_CREAT | __O_TMPFILE)) {    \
        va_list rest;                         \
        va_start(rest, flags);                \
        mode = va_arg(rest, mode_t);          \
        va_end(rest);                         \
    }
int open(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int openat(int directory, const char *path, int flags, ...) { MODE return open_at(directory, path, flags, mode); }
int openat64(int directory, const char *path, int flags, ...) { MODE return open_at(directory, path, flags, mode); }

ssize_t write(int fd, const void *from, size_t length) {
    int action = due_at(WRITE, fd);
    PERFORM(action, syscall(SYS_write, fd, from, part_of(action, length)));
}

static ssize_t write_at(int fd, const void *from, size_t length, off_t position) {
    int action = due_at(WRITE, fd);
    PERFORM(action, syscall(SYS_pwrite64, fd, from, part_of(action, length), position));
}
ssize_t pwrite(int fd, const void *from, size_t length, off_t position) { return write_at(fd, from, length, position); }
ssize_t pwrite64(int fd, const void *from, size_t length, off64_t position) { return write_at(fd, from, length, position); }

/* Half of several pieces is the first half of them; of one piece, half of it. */
static long write_pieces(int fd, const struct iovec *pieces, int count, off_t position, int action) {
    if (part_of(action, 2) == 1) {
        if (count > 1) {
            count /= 2;
        } else if (count == 1) {
            struct iovec half = {pieces->iov_base, part_of(action, pieces->iov_len)};
            return syscall(SYS_pwritev2, fd, &half, 1, position, 0, 0);
        }
    }
    return syscall(SYS_pwritev2, fd, pieces, count, position, 0, 0); /* -1: where the file stands */
}
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    int action = due_at(WRITE, fd);
    PERFORM(action, write_pieces(fd, pieces, count, -1, action));
}
#define WRITES_PIECES(name, position_type, ...)                                                     \
    ssize_t name(int fd, const struct iovec *pieces, int count, position_type position __VA_ARGS__) { \
        int action = due_at(WRITE, fd);                                                             \
        PERFORM(action, write_pieces(fd, pieces, count, position, action));                         \
    }
WRITES_PIECES(pwritev, off_t)
WRITES_PIECES(pwritev64, off64_t)
WRITES_PIECES(pwritev2, off_t, , int flags __attribute__((unused)))
WRITES_PIECES(pwritev64v2, off64_t, , int flags __attribute__((unused)))

int fsync(int fd) { PERFORM(due_at(SYNC, fd), syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { PERFORM(due_at(SYNC, fd), syscall(SYS_fdatasync, fd)); }

int ftruncate(int fd, off_t length) { PERFORM(due_at(TRUNCATE, fd), syscall(SYS_ftruncate, fd, length)); }
int ftruncate64(int fd, off64_t length) { PERFORM(due_at(TRUNCATE, fd), syscall(SYS_ftruncate, fd, length)); }

int rename(const char *from, const char *to) { PERFORM(due(RENAME, from), syscall(SYS_rename, from, to)); }

int mkdir(const char *path, mode_t mode) { PERFORM(due(MAKE, path), syscall(SYS_mkdir, path, mode)); }

int unlink(const char *path) { PERFORM(due(REMOVE, path), syscall(SYS_unlink, path)); }
int rmdir(const char *path) { PERFORM(due(REMOVE, path), syscall(SYS_rmdir, path)); }
int unlinkat(int directory, const char *path, int flags) {
    int action = directory == AT_FDCWD ? due(REMOVE, path) : due_at(REMOVE, directory);
    PERFORM(action, syscall(SYS_unlinkat, directory, path, flags));
}

static ssize_t send_file(int to, int from, off_t *position, size_t length) {
    int action = due_at(SENDFILE, from);
    PERFORM(action, syscall(SYS_sendfile, to, from, position, part_of(action, length)));
}
ssize_t sendfile(int to, int from, off_t *position, size_t length) { return send_file(to, from, position, length); }
ssize_t sendfile64(int to, int from, off64_t *position, size_t length) { return send_file(to, from, position, length); }
