/*
 * Writes down, in order, whatever a program does to the files below one folder, so that a power cut at any moment can be imagined afterwards.
 * Preloaded into the program: it sees every call of the C library that changes a file, and makes the system call itself.
 *
 *   POWER_FOLDER    absolute, without links in it
 *   POWER_JOURNAL   a file outside of it
 *   POWER_UNSYNCED  set: fsync and fdatasync do nothing, and say that they did
 *
 * A record is one line, KIND \t OFFSET \t LENGTH \t PATH \t PATH2 \n, and LENGTH bytes. Paths are below the folder; the folder itself is "".
 *   create, mkdir, unlink, rmdir, sync (of a file or a folder) PATH
 *   rename, link PATH to PATH2
 *   write at OFFSET, truncate to OFFSET
 *   print: bytes that went to standard output, written down before they did
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static int journal = -1;

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("POWER_JOURNAL");
  folder = getenv("POWER_FOLDER");
  if (folder && file)
    journal = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The part of a path below the folder, or NULL. */
static const char *below(const char *path) {
  size_t length;
  if (journal < 0 || !path) return NULL;
  length = strlen(folder);
  if (strncmp(path, folder, length) != 0) return NULL;
  if (path[length] == 0) return path + length;
  return path[length] == '/' ? path + length + 1 : NULL;
}

/* The same for an open file, by the name that it has now; one that has none any more is of no interest. */
static const char *name_of(int fd, char *buffer) {
  char link[64];
  struct stat status;
  ssize_t length;
  if (journal < 0) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
  if (length < 0) return NULL;
  buffer[length] = 0;
  if (!below(buffer) || fstat(fd, &status) != 0 || status.st_nlink == 0) return NULL;
  return below(buffer);
}

/* A path of a call that works by name, made absolute. */
static const char *named(int at, const char *path, char *buffer) {
  char base[PATH_MAX];
  char link[64];
  ssize_t length;
  if (journal < 0 || !path) return NULL;
  if (path[0] == '/') return below(path);
  snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
  length = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
  if (length < 0) return NULL;
  base[length] = 0;
  if (snprintf(buffer, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return NULL;
  return below(buffer);
}

static void put(const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t wrote = syscall(SYS_write, journal, at, length);
    if (wrote <= 0) abort(); /* What is not written down would be missing from every verdict. */
    at += wrote;
    length -= wrote;
  }
}

static void record(const char *kind, long long offset, const void *bytes, size_t length, const char *path, const char *path2) {
  char line[2 * PATH_MAX + 100];
  int width = snprintf(line, sizeof line, "%s\t%lld\t%zu\t%s\t%s\n", kind, offset, length, path, path2);
  int before = errno;
  put(line, width);
  put(bytes, length);
  errno = before;
}

/* One call at a time, so that the order of the records is the order of the calls. */
#define ALONE(statements)          \
  do {                             \
    pthread_mutex_lock(&lock);     \
    statements;                    \
    pthread_mutex_unlock(&lock);   \
  } while (0)

static int open_at(int at, const char *path, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char *name;
  struct stat status;
  int fd, existed;
  ALONE({
    existed = fstatat(at, path, &status, 0) == 0;
    fd = syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && (name = name_of(fd, buffer))) {
      if (!existed) record("create", 0, NULL, 0, name, "");
      else if ((flags & O_TRUNC) && status.st_size > 0) record("truncate", 0, NULL, 0, name, "");
    }
  });
  return fd;
}

#define MODE(flags, mode)                               \
  mode_t mode = 0;                                      \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                \
    va_list list;                                       \
    va_start(list, flags);                              \
    mode = va_arg(list, mode_t);                        \
    va_end(list);                                       \
  }

int open(const char *path, int flags, ...) { MODE(flags, mode) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, mode) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, mode) return open_at(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* Offset -1: where the file stands, which for O_APPEND is its end. */
static ssize_t write_at(int fd, const struct iovec *parts, int count, off_t offset) {
  char buffer[PATH_MAX];
  const char *name;
  ssize_t wrote;
  int i;
  if (fd == 1 && journal >= 0) {
    ALONE({
      for (i = 0; i < count; i++) record("print", 0, parts[i].iov_base, parts[i].iov_len, "", "");
      wrote = syscall(SYS_writev, fd, parts, count);
    });
    return wrote;
  }
  if (!name_of(fd, buffer))
    return offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, offset, 0);
  ALONE({
    wrote = offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    if (wrote > 0 && (name = name_of(fd, buffer))) {
      off_t at = offset < 0 ? lseek(fd, 0, SEEK_CUR) - wrote : offset;
      size_t left = wrote;
      for (i = 0; i < count && left > 0; i++) {
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        record("write", at, parts[i].iov_base, part, name, "");
        at += part;
        left -= part;
      }
    }
  });
  return wrote;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec part = {(void *)bytes, length};
  return write_at(fd, &part, 1, -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec part = {(void *)bytes, length};
  return write_at(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite(fd, bytes, length, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_at(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return write_at(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return write_at(fd, parts, count, offset); }

int ftruncate(int fd, off_t length) {
  char buffer[PATH_MAX];
  const char *name;
  int result;
  ALONE({
    result = syscall(SYS_ftruncate, fd, length);
    if (result == 0 && (name = name_of(fd, buffer))) record("truncate", length, NULL, 0, name, "");
  });
  return result;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

static int sync_with(long call, int fd) {
  char buffer[PATH_MAX];
  const char *name;
  int result;
  if (getenv("POWER_UNSYNCED") && name_of(fd, buffer)) return 0;
  ALONE({
    result = syscall(call, fd);
    if (result == 0 && (name = name_of(fd, buffer))) record("sync", 0, NULL, 0, name, "");
  });
  return result;
}
int fsync(int fd) { return sync_with(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }

/* What works by name: the call, then its record. */
#define BY_NAME(call, kind, at, path, at2, path2)                                 \
  char buffer[PATH_MAX], buffer2[PATH_MAX];                                       \
  const char *name, *name2;                                                       \
  int result;                                                                     \
  ALONE({                                                                         \
    name = named(at, path, buffer);                                               \
    name2 = named(at2, path2, buffer2);                                           \
    result = call;                                                                \
    if (result == 0 && (name || name2))                                           \
      record(kind, 0, NULL, 0, name ? name : "(outside)", name2 ? name2 : "");    \
  });                                                                             \
  return result;

int unlinkat(int at, const char *path, int flags) {
  BY_NAME(syscall(SYS_unlinkat, at, path, flags), flags & AT_REMOVEDIR ? "rmdir" : "unlink", at, path, AT_FDCWD, NULL)
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int at, const char *path, mode_t mode) {
  BY_NAME(syscall(SYS_mkdirat, at, path, mode), "mkdir", at, path, AT_FDCWD, NULL)
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int renameat2(int at, const char *path, int at2, const char *path2, unsigned flags) {
  BY_NAME(syscall(SYS_renameat2, at, path, at2, path2, flags), "rename", at, path, at2, path2)
}
int renameat(int at, const char *path, int at2, const char *path2) { return renameat2(at, path, at2, path2, 0); }
int rename(const char *path, const char *path2) { return renameat2(AT_FDCWD, path, AT_FDCWD, path2, 0); }
int linkat(int at, const char *path, int at2, const char *path2, int flags) {
  BY_NAME(syscall(SYS_linkat, at, path, at2, path2, flags), "link", at, path, at2, path2)
}
int link(const char *path, const char *path2) { return linkat(AT_FDCWD, path, AT_FDCWD, path2, 0); }
