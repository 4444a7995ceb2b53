/* A tap between a program and its disk: notes every call of consequence below one folder, and makes calls fail.
 *
 * Preloaded (LD_PRELOAD), it stands in front of the C library's calls, so that it hears Python, SQLite and whatever
 * else the program consists of. Each call is made first and noted after, under one lock, in one append to the trace:
 * the order in the trace is the order on the disk, over several processes too. The trace's form is told in
 * ../crash_disk.py. What is not heard (mmap, sendfile) shows when a trace played back in full does not give the folder.
 *
 * SQLite's -shm file is no durable state: made to fail like the others, but not noted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum sort { READS, WRITES, NAMES, SYNCS };
enum fault { NONE, KILL, REFUSE, REFUSE_READING, FULL, SHORT };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int trace = -1;
static enum fault fault;
static long countdown;

/* -- what the program under test says to the tap ---------------------------------------------------------------- */

int disk_tap_begin(const char *below, const char *trace_path)
{
    root_length = (size_t)snprintf(root, sizeof root, "%s/", below);
    if (trace >= 0)
        close(trace);
    trace = (int)syscall(SYS_openat, AT_FDCWD, trace_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return trace < 0 ? -1 : 0;
}

void disk_tap_fault(int kind, long at)
{
    fault = (enum fault)kind;
    countdown = at;
}

/* -- the trace -------------------------------------------------------------------------------------------------- */

static void note(char kind, ino_t inode, long offset, long outcome, const char *first, size_t first_length,
                 const char *second, size_t second_length)
{
    char head[128];
    int length = snprintf(head, sizeof head, "%c %lu %ld %ld %zu %zu\n", kind, (unsigned long)inode, offset, outcome,
                          first_length, second_length);
    struct iovec parts[] = {{head, (size_t)length}, {(void *)first, first_length}, {(void *)second, second_length}};
    if (syscall(SYS_writev, trace, parts, 3) < 0)
        raise(SIGABRT);
}

static void note_name(char kind, ino_t inode, long outcome, const char *first, const char *second)
{
    note(kind, inode, 0, outcome, first, strlen(first), second, strlen(second));
}

/* -- which calls count ------------------------------------------------------------------------------------------ */

/* The place of a file below the root, "" for the root itself; NULL if it is elsewhere. */
static const char *below(const char *path)
{
    if (trace < 0 || strncmp(path, root, root_length - 1) != 0)
        return NULL;
    if (path[root_length - 1] == 0)
        return path + root_length - 1;
    return path[root_length - 1] == '/' ? path + root_length : NULL;
}

static int is_noted(const char *place)
{
    size_t length = strlen(place);
    return length < 4 || strcmp(place + length - 4, "-shm") != 0;
}

static const char *place_of_descriptor(int descriptor, char *space)
{
    if (trace < 0 || descriptor == trace)
        return NULL;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, space, PATH_MAX - 1);
    space[length < 0 ? 0 : length] = 0;
    return below(space);
}

static const char *place_of_name(int folder, const char *path, char *space)
{
    if (trace < 0)
        return NULL;
    if (path[0] == '/')
        return below(path);
    char link[40] = "/proc/self/cwd";
    if (folder != AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, space, PATH_MAX / 2);
    if (length < 0)
        return NULL;
    snprintf(space + length, PATH_MAX - (size_t)length, "/%s", path);
    return below(space);
}

static ino_t inode_of(int descriptor)
{
    struct stat facts;
    return fstat(descriptor, &facts) == 0 ? facts.st_ino : 0;
}

static ino_t inode_at(int folder, const char *path)
{
    struct stat facts;
    return fstatat(folder, path, &facts, AT_SYMLINK_NOFOLLOW) == 0 ? facts.st_ino : 0;
}

/* -- faults ----------------------------------------------------------------------------------------------------- */

/* The error that this call is to end with; 0: none. */
static int refusal(enum sort sort)
{
    int counts = fault == REFUSE_READING ? sort == READS
                 : fault == FULL         ? sort == WRITES || sort == NAMES
                 : fault == SHORT        ? sort == WRITES
                                         : sort != READS;
    if (fault == NONE || fault == KILL || !counts || --countdown > 0)
        return 0;
    switch (fault) {
    case FULL:
        return ENOSPC;
    case SHORT:
        fault = NONE;
        return EINTR;
    default:
        fault = NONE;
        return EIO;
    }
}

static void die_if_it_is_time(void)
{
    if (fault == KILL && --countdown <= 0)
        syscall(SYS_kill, getpid(), SIGKILL);
}

static long refused(int error)
{
    errno = error;
    return -1;
}

/* -- files ------------------------------------------------------------------------------------------------------ */

static int open_below(int folder, const char *path, int flags, mode_t mode, const char *place)
{
    struct stat before;
    int existed = fstatat(folder, path, &before, AT_SYMLINK_NOFOLLOW) == 0;
    int changes = ((flags & O_CREAT) && !existed) || ((flags & O_TRUNC) && existed && before.st_size > 0);
    int error = changes ? refusal(NAMES) : 0;
    if (error)
        return (int)refused(error);
    int descriptor = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (descriptor >= 0 && changes && is_noted(place)) {
        if (!existed)
            note_name('C', inode_of(descriptor), 0, place, "");
        else
            note('T', before.st_ino, 0, 0, "", 0, "", 0);
    }
    if (descriptor >= 0 && changes)
        die_if_it_is_time();
    return descriptor;
}

static int open_any(int folder, const char *path, int flags, mode_t mode)
{
    char space[PATH_MAX];
    const char *place = place_of_name(folder, path, space);
    if (place == NULL)
        return (int)syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&one_at_a_time);
    int descriptor = open_below(folder, path, flags, mode, place);
    pthread_mutex_unlock(&one_at_a_time);
    return descriptor;
}

#define MODE_OF(flags, last)                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, last);                                                                                          \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_any(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_any(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_any(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return open_any(folder, path, flags, mode);
}

int __open_2(const char *path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
int __openat_2(int folder, const char *path, int flags) { return open_any(folder, path, flags, 0); }
int __openat64_2(int folder, const char *path, int flags) { return open_any(folder, path, flags, 0); }

/* Writes one piece; a call that is to fail leaves half of it behind, as a real one may. `offset` < 0: where it is. */
static ssize_t write_below(int descriptor, const char *content, size_t length, off_t offset, const char *place)
{
    int error = refusal(WRITES);
    size_t wanted = error ? length / 2 : length;
    ssize_t written = 0;
    if (wanted > 0 || !error)
        written = offset < 0 ? syscall(SYS_write, descriptor, content, wanted)
                             : syscall(SYS_pwrite64, descriptor, content, wanted, offset);
    if (written > 0 && is_noted(place)) {
        off_t start = offset < 0 ? lseek(descriptor, 0, SEEK_CUR) - written : offset;
        note('W', inode_of(descriptor), start, 0, content, (size_t)written, "", 0);
    }
    if (error && !(error == EINTR && written > 0))
        return refused(error);
    die_if_it_is_time();
    return written;
}

static ssize_t write_any(int descriptor, const void *content, size_t length, off_t offset)
{
    char space[PATH_MAX];
    const char *place = place_of_descriptor(descriptor, space);
    if (place == NULL)
        return offset < 0 ? syscall(SYS_write, descriptor, content, length)
                          : syscall(SYS_pwrite64, descriptor, content, length, offset);
    pthread_mutex_lock(&one_at_a_time);
    ssize_t written = write_below(descriptor, content, length, offset, place);
    pthread_mutex_unlock(&one_at_a_time);
    return written;
}

ssize_t write(int descriptor, const void *content, size_t length) { return write_any(descriptor, content, length, -1); }

ssize_t pwrite(int descriptor, const void *content, size_t length, off_t offset)
{
    return write_any(descriptor, content, length, offset);
}

ssize_t pwrite64(int descriptor, const void *content, size_t length, off64_t offset)
{
    return write_any(descriptor, content, length, offset);
}

/* Piece by piece: a short answer after the first is legal. */
ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        ssize_t written = write_any(descriptor, parts[i].iov_base, parts[i].iov_len, -1);
        if (written < 0)
            return sum > 0 ? sum : written;
        sum += written;
        if ((size_t)written < parts[i].iov_len)
            break;
    }
    return sum;
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset)
{
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        ssize_t written = write_any(descriptor, parts[i].iov_base, parts[i].iov_len, offset + sum);
        if (written < 0)
            return sum > 0 ? sum : written;
        sum += written;
        if ((size_t)written < parts[i].iov_len)
            break;
    }
    return sum;
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(descriptor, parts, count, offset);
}

int ftruncate(int descriptor, off_t length)
{
    char space[PATH_MAX];
    const char *place = place_of_descriptor(descriptor, space);
    if (place == NULL)
        return (int)syscall(SYS_ftruncate, descriptor, length);
    pthread_mutex_lock(&one_at_a_time);
    struct stat before;
    int error = fstat(descriptor, &before) == 0 ? refusal(NAMES) : 0;
    /* A full disk still lets a file be cut. */
    if (error == ENOSPC && length <= before.st_size)
        error = 0;
    long outcome = error ? refused(error) : syscall(SYS_ftruncate, descriptor, length);
    if (outcome == 0) {
        if (is_noted(place))
            note('T', inode_of(descriptor), length, 0, "", 0, "", 0);
        die_if_it_is_time();
    }
    pthread_mutex_unlock(&one_at_a_time);
    return (int)outcome;
}

int ftruncate64(int descriptor, off64_t length) { return ftruncate(descriptor, length); }

/* A refused sync is noted too: what it was to make safe may be lost for good, whatever a later one says. */
static int sync_any(int descriptor, long call)
{
    char space[PATH_MAX];
    const char *place = place_of_descriptor(descriptor, space);
    if (place == NULL)
        return (int)syscall(call, descriptor);
    pthread_mutex_lock(&one_at_a_time);
    struct stat facts;
    int is_folder = fstat(descriptor, &facts) == 0 && S_ISDIR(facts.st_mode);
    int error = refusal(SYNCS);
    if (is_noted(place))
        note_name(is_folder ? 'D' : 'S', facts.st_ino, error, is_folder ? place : "", "");
    if (!error)
        die_if_it_is_time();
    pthread_mutex_unlock(&one_at_a_time);
    /* The disk itself is not asked: what is durable is up to the trace, and the test is spared the waiting. */
    return error ? (int)refused(error) : 0;
}

int fsync(int descriptor) { return sync_any(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return sync_any(descriptor, SYS_fdatasync); }

/* Whoever drops what the memory holds of a file hears from the disk what the disk has. */
int posix_fadvise(int descriptor, off_t offset, off_t length, int advice)
{
    char space[PATH_MAX];
    const char *place = place_of_descriptor(descriptor, space);
    if (place != NULL && is_noted(place) && advice == POSIX_FADV_DONTNEED) {
        pthread_mutex_lock(&one_at_a_time);
        note('V', inode_of(descriptor), 0, 0, "", 0, "", 0);
        pthread_mutex_unlock(&one_at_a_time);
    }
    return syscall(SYS_fadvise64, descriptor, offset, length, advice) == 0 ? 0 : errno;
}

int posix_fadvise64(int descriptor, off64_t offset, off64_t length, int advice)
{
    return posix_fadvise(descriptor, offset, length, advice);
}

static ssize_t read_any(int descriptor, void *content, size_t length, off_t offset)
{
    char space[PATH_MAX];
    int error = 0;
    if (fault == REFUSE_READING && place_of_descriptor(descriptor, space) != NULL) {
        pthread_mutex_lock(&one_at_a_time);
        error = refusal(READS);
        pthread_mutex_unlock(&one_at_a_time);
    }
    if (error)
        return refused(error);
    return offset < 0 ? syscall(SYS_read, descriptor, content, length)
                      : syscall(SYS_pread64, descriptor, content, length, offset);
}

ssize_t read(int descriptor, void *content, size_t length) { return read_any(descriptor, content, length, -1); }

ssize_t pread(int descriptor, void *content, size_t length, off_t offset)
{
    return read_any(descriptor, content, length, offset);
}

ssize_t pread64(int descriptor, void *content, size_t length, off64_t offset)
{
    return read_any(descriptor, content, length, offset);
}

/* -- names ------------------------------------------------------------------------------------------------------ */

enum naming { RENAME, LINK, UNLINK, RMDIR, MKDIR };

static long change_name(enum naming what, int old_folder, const char *old, int new_folder, const char *new, unsigned bits)
{
    switch (what) {
    case RENAME:
        return syscall(SYS_renameat2, old_folder, old, new_folder, new, bits);
    case LINK:
        return syscall(SYS_linkat, old_folder, old, new_folder, new, bits);
    case MKDIR:
        return syscall(SYS_mkdirat, old_folder, old, bits);
    default:
        return syscall(SYS_unlinkat, old_folder, old, what == RMDIR ? AT_REMOVEDIR : 0);
    }
}

static int name_any(enum naming what, int old_folder, const char *old, int new_folder, const char *new, unsigned bits)
{
    char space[PATH_MAX], new_space[PATH_MAX];
    const char *place = place_of_name(old_folder, old, space);
    const char *new_place = new ? place_of_name(new_folder, new, new_space) : "";
    if (place == NULL)
        return (int)change_name(what, old_folder, old, new_folder, new, bits);
    pthread_mutex_lock(&one_at_a_time);
    /* Asked first whether there is anything to be done: a removal of nothing is no step. */
    ino_t inode = inode_at(old_folder, old);
    int error = what == MKDIR || inode != 0 ? refusal(NAMES) : 0;
    /* A full disk still lets things be removed and renamed. */
    if (error == ENOSPC && what != MKDIR && what != LINK)
        error = 0;
    long outcome = error ? refused(error) : change_name(what, old_folder, old, new_folder, new, bits);
    if (outcome == 0) {
        if (is_noted(place))
            note_name("RLUXM"[what], inode, 0, place, new_place ? new_place : "");
        die_if_it_is_time();
    }
    pthread_mutex_unlock(&one_at_a_time);
    return (int)outcome;
}

int rename(const char *old, const char *new) { return name_any(RENAME, AT_FDCWD, old, AT_FDCWD, new, 0); }

int renameat(int old_folder, const char *old, int new_folder, const char *new)
{
    return name_any(RENAME, old_folder, old, new_folder, new, 0);
}

int renameat2(int old_folder, const char *old, int new_folder, const char *new, unsigned bits)
{
    return name_any(RENAME, old_folder, old, new_folder, new, bits);
}

int link(const char *old, const char *new) { return name_any(LINK, AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int old_folder, const char *old, int new_folder, const char *new, int bits)
{
    return name_any(LINK, old_folder, old, new_folder, new, (unsigned)bits);
}

int unlink(const char *path) { return name_any(UNLINK, AT_FDCWD, path, 0, NULL, 0); }

int unlinkat(int folder, const char *path, int bits)
{
    return name_any(bits & AT_REMOVEDIR ? RMDIR : UNLINK, folder, path, 0, NULL, 0);
}

int rmdir(const char *path) { return name_any(RMDIR, AT_FDCWD, path, 0, NULL, 0); }
int mkdir(const char *path, mode_t mode) { return name_any(MKDIR, AT_FDCWD, path, 0, NULL, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return name_any(MKDIR, folder, path, 0, NULL, mode); }
