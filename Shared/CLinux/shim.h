#pragma once
// What the Glibc module lacks. Declared by hand where the libc header hides it behind _GNU_SOURCE: defining
// that macro here would change types that other modules import from Glibc.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <termios.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int pipe2(int[2], int);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
extern ssize_t splice(int, loff_t *, int, loff_t *, size_t, unsigned int);

extern char **environ;
static inline char **mc_environ(void) { return environ; }
static inline int mc_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

extern int pthread_setname_np(pthread_t, const char *);

#define MC_SPLICE_F_MOVE 1u
#define MC_SPLICE_F_NONBLOCK 2u
#define MC_F_SETPIPE_SZ 1031
#define MC_F_GETPIPE_SZ 1032

// Variadic functions do not import into Swift.
static inline int mc_fcntl_int(int fd, int command, int argument) { return fcntl(fd, command, argument); }

static inline void mc_ignore_signal(int number) { signal(number, SIG_IGN); }

/// errno of the last call on this thread; a plain function so that Swift reads it once.
static inline int mc_errno(void) { return errno; }
static inline void mc_set_errno(int value) { errno = value; }
