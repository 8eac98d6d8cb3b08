/* Stands between a process and the kernel: counts the system calls with which it touches its files and its network, and
 * at one of them lets it fail or ends the process.
 *
 * Loaded with LD_PRELOAD, but it does not replace functions of libc: a seccomp filter sends each call of interest to a
 * signal handler here, which makes the call itself, or does not. So it sees the calls too that are made past libc.
 *
 *   FAULT_DIR    files elsewhere don't count
 *   FAULT_AT     at which call, from 1; 0: never
 *   FAULT_HOW    once    it fails
 *                on      it and all after it of its kind (files, network) fail
 *                before  the process ends, the call is not made
 *                after   the process ends, the call has been made
 *   FAULT_ERRNO  with what calls on files fail; ENOSPC takes half of a write first, as a disk does that becomes full
 *   FAULT_NAME   only files with this in their name count, and no network
 *   FAULT_LOG    gets a line `NUMBER CALL FILE` for each call that counts (at 0), or for the one that was struck
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

/* The one place whose calls the filter lets through: `passage_end` is where they return to. */
long passage(long number, long a, long b, long c, long d, long e, long f);
extern const char passage_end[];

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
__asm__(".globl passage, passage_end\n"
        "passage: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, %r10\n"
        "mov %r9, %r8\n mov 8(%rsp), %r9\n syscall\n passage_end: ret\n");
#define REGISTER(context, name) ((context)->uc_mcontext.gregs[name])
#define ARGUMENT(context, n) REGISTER(context, ((const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9})[n])
#define RESULT(context) REGISTER(context, REG_RAX)
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
__asm__(".globl passage, passage_end\n"
        "passage: mov x8, x0\n mov x0, x1\n mov x1, x2\n mov x2, x3\n mov x3, x4\n mov x4, x5\n mov x5, x6\n"
        "svc #0\n passage_end: ret\n");
#define ARGUMENT(context, n) ((context)->uc_mcontext.regs[n])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#else
#error "this machine's registers are not known here"
#endif

enum kind { WRITE, SYNC, TRUNCATE, CREATE, RENAME, REMOVE, CONNECT, SEND, RECEIVE };
static const char *const names[] = {"write", "sync", "truncate", "create", "rename", "remove", "connect", "send", "receive"};

/* Each call of interest, what it does, and which argument names the file: by descriptor, or by path. */
static const struct call {
    long number;
    enum kind kind;
    signed char descriptor, path;
} calls[] = {
    {SYS_write, WRITE, 0, -1},      {SYS_writev, WRITE, 0, -1},     {SYS_pwrite64, WRITE, 0, -1},
    {SYS_pwritev, WRITE, 0, -1},    {SYS_fsync, SYNC, 0, -1},       {SYS_fdatasync, SYNC, 0, -1},
    {SYS_ftruncate, TRUNCATE, 0, -1}, {SYS_fallocate, TRUNCATE, 0, -1},
    {SYS_openat, CREATE, -1, 1},    {SYS_mkdirat, CREATE, -1, 1},
    {SYS_renameat, RENAME, -1, 3},  {SYS_renameat2, RENAME, -1, 3}, {SYS_linkat, RENAME, -1, 3},
    {SYS_unlinkat, REMOVE, -1, 1},
#if defined(__x86_64__)
    {SYS_open, CREATE, -1, 0},      {SYS_mkdir, CREATE, -1, 0},     {SYS_rename, RENAME, -1, 1},
    {SYS_link, RENAME, -1, 1},      {SYS_unlink, REMOVE, -1, 0},
#endif
    {SYS_connect, CONNECT, 0, -1},  {SYS_sendto, SEND, 0, -1},      {SYS_sendmsg, SEND, 0, -1},
    {SYS_recvfrom, RECEIVE, 0, -1}, {SYS_recvmsg, RECEIVE, 0, -1},  {SYS_read, RECEIVE, 0, -1},
    {SYS_readv, RECEIVE, 0, -1},
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static const char *directory, *wanted_name;
static long at;
static enum { ONCE, ON, BEFORE, AFTER } how;
static int file_errno, log_file = -1;
static atomic_long counted;
static atomic_int files_are_down, network_is_down;

/* Whether the descriptor or the path counts; its name is written to `name`. Of a descriptor of the network, `kind`
 * becomes what is done there. */
static int counts(const struct call *call, ucontext_t *context, enum kind *kind, char *name, size_t size) {
    const char *path = call->path < 0 ? NULL : (const char *)ARGUMENT(context, call->path);
    if (path == NULL) {
        long descriptor = ARGUMENT(context, call->descriptor);
        struct stat facts;
        if (passage(SYS_fstat, descriptor, (long)&facts, 0, 0, 0, 0) < 0) return 0;
        if (S_ISSOCK(facts.st_mode)) {
            int domain = 0;
            socklen_t length = sizeof domain;
            passage(SYS_getsockopt, descriptor, SOL_SOCKET, SO_DOMAIN, (long)&domain, (long)&length, 0);
            if (domain != AF_INET && domain != AF_INET6) return 0;
            if (*kind == WRITE) *kind = SEND;
            strcpy(name, "network");
            return wanted_name == NULL;
        }
        if (!S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode)) return 0;
        if (*kind > REMOVE) return 0;
        char link[40];
        snprintf(link, sizeof link, "/proc/self/fd/%ld", descriptor);
        long length = passage(SYS_readlinkat, AT_FDCWD, (long)link, (long)name, size - 1, 0, 0);
        if (length < 0) return 0;
        name[length] = 0;
    } else {
        int flags = call->number == SYS_openat ? ARGUMENT(context, 2) : O_CREAT;
#if defined(__x86_64__)
        if (call->number == SYS_open) flags = ARGUMENT(context, 1);
#endif
        if (!(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE) return 0;
        snprintf(name, size, "%s%s%s", *path == '/' ? "" : directory, *path == '/' ? "" : "/", path);
    }
    size_t prefix = strlen(directory);
    if (strncmp(name, directory, prefix) != 0) return 0;
    memmove(name, name + prefix, strlen(name + prefix) + 1);
    return wanted_name == NULL || strstr(name, wanted_name) != NULL;
}

static void note(long number, enum kind kind, const char *name) {
    char line[4200];
    int length = snprintf(line, sizeof line, "%ld %s %s\n", number, names[kind], name);
    if (log_file >= 0) passage(SYS_write, log_file, (long)line, length, 0, 0, 0);
}

__attribute__((noreturn)) static void end(void) {
    passage(SYS_kill, passage(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0, 0);
    for (;;) passage(SYS_pselect6, 0, 0, 0, 0, 0, 0);
}

/* Half of a write is taken by a disk that has no room for the rest. */
static long half(const struct call *call, ucontext_t *context) {
    if (call->number != SYS_write && call->number != SYS_pwrite64) return 0;
    long length = ARGUMENT(context, 2) / 2;
    if (length == 0) return 0;
    return passage(call->number, ARGUMENT(context, 0), ARGUMENT(context, 1), length, ARGUMENT(context, 3), 0, 0);
}

static long make(const struct call *call, ucontext_t *context) {
    return passage(call->number, ARGUMENT(context, 0), ARGUMENT(context, 1), ARGUMENT(context, 2),
                   ARGUMENT(context, 3), ARGUMENT(context, 4), ARGUMENT(context, 5));
}

static long failure(const struct call *call, enum kind kind, ucontext_t *context, int is_first) {
    switch (kind) {
    case CONNECT: return -ECONNREFUSED;
    case SEND: return -EPIPE;
    case RECEIVE: return -ECONNRESET;
    default: break;
    }
    if (file_errno == ENOSPC) {
        if (kind == REMOVE) return make(call, context);
        long taken = kind == WRITE && is_first ? half(call, context) : 0;
        if (taken > 0) return taken;
    }
    return -file_errno;
}

static long decide(const struct call *call, ucontext_t *context) {
    enum kind kind = call->kind;
    char name[4096];
    if (!counts(call, context, &kind, name, sizeof name)) return make(call, context);
    long result = 0;
    if (kind == RECEIVE) {
        /* Asked again and again until something is there: a question without an answer is no point. */
        result = make(call, context);
        if (result == -EAGAIN || result == -EINTR) return result;
    }
    atomic_int *is_down = kind >= CONNECT ? &network_is_down : &files_are_down;
    if (atomic_load(is_down)) return failure(call, kind, context, 0);
    long number = atomic_fetch_add(&counted, 1) + 1;
    if (number == at || at == 0) note(number, kind, name);
    if (number == at) {
        switch (how) {
        case BEFORE: end();
        case AFTER:
            if (kind != RECEIVE) make(call, context);
            end();
        case ON: atomic_store(is_down, 1); /* fall through */
        case ONCE: return failure(call, kind, context, 1);
        }
    }
    return kind == RECEIVE ? result : make(call, context);
}

static void trapped(int signal, siginfo_t *info, void *context) {
    (void)signal;
    for (int i = 0; i < CALLS; i++)
        if (calls[i].number == info->si_syscall) {
            RESULT((ucontext_t *)context) = decide(&calls[i], context);
            return;
        }
}

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value == NULL || *value == 0 ? NULL : value;
}

__attribute__((constructor)) static void stand_between(void) {
    directory = setting("FAULT_DIR");
    if (directory == NULL) return;
    wanted_name = setting("FAULT_NAME");
    at = setting("FAULT_AT") ? atol(setting("FAULT_AT")) : 0;
    file_errno = setting("FAULT_ERRNO") ? atoi(setting("FAULT_ERRNO")) : EIO;
    const char *word = setting("FAULT_HOW") ? setting("FAULT_HOW") : "once";
    how = !strcmp(word, "on") ? ON : !strcmp(word, "before") ? BEFORE : !strcmp(word, "after") ? AFTER : ONCE;
    if (setting("FAULT_LOG")) log_file = open(setting("FAULT_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);

    uint64_t place = (uint64_t)(uintptr_t)passage_end;
    struct sock_filter filter[CALLS + 10];
    unsigned short n = 0;
#define LOAD(field, more) filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + (more))
#define UNLESS(value, skip) filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(what) filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what)
    LOAD(arch, 0); UNLESS(ARCHITECTURE, 4);
    LOAD(instruction_pointer, 0); UNLESS((uint32_t)place, 3);
    LOAD(instruction_pointer, 4); UNLESS((uint32_t)(place >> 32), 1);
    RETURN(SECCOMP_RET_ALLOW);
    LOAD(nr, 0);
    for (int i = 0; i < CALLS; i++)
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, CALLS - i, 0);
    RETURN(SECCOMP_RET_ALLOW);
    RETURN(SECCOMP_RET_TRAP);
    struct sock_fprog program = {.len = n, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        static const char words[] = "the shim can't stand between this process and the kernel\n";
        passage(SYS_write, 2, (long)words, sizeof words - 1, 0, 0, 0);
        passage(SYS_exit_group, 99, 0, 0, 0, 0, 0);
    }
}
