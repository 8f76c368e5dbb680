/* A layer between a server and its disk: preloaded, it fails what it is told to, and keeps a journal.
 *
 * disk_attach() names the folder to watch. What happens to files in it, and to the folder's own name, counts;
 * everything else passes. The control block is shared with the test (see disk.py):
 *   - the Nth operation of the chosen kinds fails with an errno; a write that fails has written its first half;
 *   - sticky: so do all after it.
 * The journal, if there is one, gets a record of each operation, in the order in which they took effect. With a
 * journal nothing is synced for real: what a sync promises is what disk.py keeps after a power cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, SYNC = 2, TRUNCATE = 4, RENAME = 8, UNLINK = 16, CREATE = 32, OPEN = 64 };
enum record { CREATED = 1, WRITTEN, TRUNCATED, SYNCED, FOLDER_SYNCED, RENAMED, UNLINKED, FOLDER_MADE };

struct control {
    int64_t nth;    /* which operation from now on fails; 0: none */
    int64_t seen;   /* operations of the chosen kinds since then */
    int64_t failed; /* how many of them failed */
    int32_t error;
    int32_t kinds;
    int32_t sticky;
};

struct header {
    uint32_t record;
    uint32_t path_length;
    uint64_t inode;
    int64_t offset;
    uint64_t data_length;
    uint64_t generation;
};

#define MAX_DESCRIPTORS 4096
static enum { NOT_WATCHED, WATCHED_FILE, WATCHED_FOLDER } watched[MAX_DESCRIPTORS];
static uint64_t inodes[MAX_DESCRIPTORS];
static char names[MAX_DESCRIPTORS][NAME_MAX + 1]; /* of folders, below the parent */
static char parent[PATH_MAX], folder[PATH_MAX];
static struct control *control;
static int journal = -1;
static volatile uint64_t *generation;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Returns the part of a watched path below the parent, "" for the parent itself, or NULL. */
static const char *below(const char *path) {
    size_t parent_length = strlen(parent), folder_length = strlen(folder);
    if (!control) return NULL;
    if (!strcmp(path, parent)) return "";
    if (strncmp(path, folder, folder_length)) return NULL;
    if (path[folder_length] && path[folder_length] != '/') return NULL;
    return path + parent_length + 1;
}

static int is_watched(int descriptor) {
    return control && descriptor >= 0 && descriptor < MAX_DESCRIPTORS && watched[descriptor];
}

static int fails(enum kind kind) {
    if (!control->nth || !(control->kinds & kind)) return 0;
    control->seen++;
    if (control->seen < control->nth || (control->seen > control->nth && !control->sticky)) return 0;
    control->failed++;
    errno = control->error;
    return 1;
}

static void note(enum record record, uint64_t inode, int64_t offset, const char *path, const void *data, size_t length) {
    int kept = errno;
    struct header header = {record, strlen(path), inode, offset, length, generation ? *generation : 0};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)path, strlen(path)}, {(void *)data, length}};
    if (journal >= 0 && writev(journal, parts, 3) < 0) _exit(99);
    errno = kept;
}

int disk_attach(const char *control_path, const char *journal_path, const char *watched_folder) {
    int descriptor = REAL(open64)(control_path, O_RDWR);
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped == MAP_FAILED) return -1;
    strcpy(folder, watched_folder);
    strcpy(parent, watched_folder);
    *strrchr(parent, '/') = 0;
    if (*journal_path) {
        journal = REAL(open64)(journal_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (journal < 0) return -1;
    }
    control = mapped;
    return 0;
}

static int watch(int descriptor, const char *path, int flags, int is_new) {
    struct stat status;
    if (descriptor < 0 || descriptor >= MAX_DESCRIPTORS || fstat(descriptor, &status)) return descriptor;
    if (S_ISDIR(status.st_mode)) {
        watched[descriptor] = WATCHED_FOLDER;
        snprintf(names[descriptor], sizeof names[descriptor], "%s", path);
        return descriptor;
    }
    watched[descriptor] = WATCHED_FILE;
    inodes[descriptor] = status.st_ino;
    if (is_new) note(CREATED, status.st_ino, 0, path, "", 0);
    else if (flags & O_TRUNC) note(TRUNCATED, status.st_ino, 0, "", "", 0);
    return descriptor;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    const char *name = below(path);
    if (!name) return REAL(open64)(path, flags, mode);
    pthread_mutex_lock(&mutex);
    int is_new = (flags & O_CREAT) && access(path, F_OK);
    int is_write = (flags & O_ACCMODE) != O_RDONLY;
    int descriptor = -1;
    if (!(is_new && fails(CREATE)) && !(is_write && !is_new && fails(OPEN)))
        descriptor = watch(REAL(open64)(path, flags, mode), name, flags, is_new);
    pthread_mutex_unlock(&mutex);
    return descriptor;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open64(path, flags, mode);
}

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < MAX_DESCRIPTORS) watched[descriptor] = NOT_WATCHED;
    return REAL(close)(descriptor);
}

static ssize_t written(int descriptor, const void *data, size_t length, off64_t offset) {
    pthread_mutex_lock(&mutex);
    int is_failing = fails(WRITE);
    size_t part = is_failing ? length / 2 : length;
    int error = errno;
    ssize_t count = part ? REAL(pwrite64)(descriptor, data, part, offset) : 0;
    if (count > 0) note(WRITTEN, inodes[descriptor], offset, "", data, count);
    if (is_failing) {
        errno = error;
        count = -1;
    }
    pthread_mutex_unlock(&mutex);
    return count;
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t offset) {
    if (!is_watched(descriptor)) return REAL(pwrite64)(descriptor, data, length, offset);
    return written(descriptor, data, length, offset);
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t offset) {
    return pwrite64(descriptor, data, length, offset);
}

ssize_t write(int descriptor, const void *data, size_t length) {
    if (!is_watched(descriptor)) return REAL(write)(descriptor, data, length);
    off64_t offset = lseek64(descriptor, 0, SEEK_CUR);
    ssize_t count = written(descriptor, data, length, offset);
    if (count > 0) lseek64(descriptor, offset + count, SEEK_SET);
    return count;
}

static int synced(int descriptor, int (*sync)(int)) {
    if (!is_watched(descriptor)) return sync(descriptor);
    pthread_mutex_lock(&mutex);
    int result = fails(SYNC) ? -1 : journal < 0 ? sync(descriptor) : 0;
    if (!result && watched[descriptor] == WATCHED_FILE) note(SYNCED, inodes[descriptor], 0, "", "", 0);
    if (!result && watched[descriptor] == WATCHED_FOLDER) note(FOLDER_SYNCED, 0, 0, names[descriptor], "", 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int fsync(int descriptor) { return synced(descriptor, REAL(fsync)); }

int fdatasync(int descriptor) { return synced(descriptor, REAL(fdatasync)); }

int ftruncate64(int descriptor, off64_t size) {
    if (!is_watched(descriptor)) return REAL(ftruncate64)(descriptor, size);
    pthread_mutex_lock(&mutex);
    int result = fails(TRUNCATE) ? -1 : REAL(ftruncate64)(descriptor, size);
    if (!result) note(TRUNCATED, inodes[descriptor], size, "", "", 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate(int descriptor, off_t size) { return ftruncate64(descriptor, size); }

int rename(const char *from, const char *to) {
    const char *name = below(from), *new_name = below(to);
    if (!name || !new_name) return REAL(rename)(from, to);
    pthread_mutex_lock(&mutex);
    int result = fails(RENAME) ? -1 : REAL(rename)(from, to);
    if (!result) note(RENAMED, 0, 0, name, new_name, strlen(new_name));
    pthread_mutex_unlock(&mutex);
    return result;
}

int unlink(const char *path) {
    const char *name = below(path);
    if (!name) return REAL(unlink)(path);
    pthread_mutex_lock(&mutex);
    int result = fails(UNLINK) ? -1 : REAL(unlink)(path);
    if (!result) note(UNLINKED, 0, 0, name, "", 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    const char *name = below(path);
    if (!name) return REAL(mkdir)(path, mode);
    pthread_mutex_lock(&mutex);
    int result = fails(CREATE) ? -1 : REAL(mkdir)(path, mode);
    if (!result) note(FOLDER_MADE, 0, 0, name, "", 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

/* `auth.gen` is 8 bytes and mapped: each record says what stood there. */
void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    void *mapped = REAL(mmap64)(address, length, protection, flags, descriptor, offset);
    if (mapped != MAP_FAILED && length == sizeof *generation && is_watched(descriptor)) generation = mapped;
    return mapped;
}

int munmap(void *address, size_t length) {
    if (address == generation) generation = NULL;
    return REAL(munmap)(address, length);
}
