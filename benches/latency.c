/* latency FILE ADDRESS STREAM TIMES COMMAND [ARGUMENT...]
 *
 * Runs COMMAND, which follows STREAM and prints a line for each entry, and TIMES over: waits until the server says
 * that it is blocked, adds an entry, and takes the time until its line is on the command's stdout. Appends a line to
 * FILE: the median and the 99th percentile in microseconds. Ends the command with SIGTERM. */

#include "dial.h"
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 10.0 /* seconds until a command that does not block or print counts as stuck */
#define WARM_UP 200   /* entries before those that count */

static pid_t child = 0;

static void reap(void) {
    if (child <= 0) return;
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Starts the command; returns the reading end of its stdout. */
static int start(char **command) {
    int ends[2];
    if (pipe(ends) < 0 || (child = fork()) < 0) fail("latency", "cannot start a process");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    atexit(reap);
    close(ends[1]);
    return ends[0];
}

/* Asked of the server, rather than slept for: a sleep is either too short or lets the processor doze off. */
static void await_blocked(redisContext *redis) {
    double end = now() + PATIENCE;
    while (now() < end) {
        redisReply *reply = checked(redis, redisCommand(redis, "INFO clients"));
        int blocked = strstr(reply->str, "blocked_clients:1\r") != NULL;
        freeReplyObject(reply);
        if (blocked) return;
    }
    fail("latency", "the command does not wait at the server");
}

static void await_line(int output) {
    char buffer[4096];
    for (;;) {
        struct pollfd readable = {.fd = output, .events = POLLIN};
        if (poll(&readable, 1, (int)(PATIENCE * 1000)) <= 0) fail("latency", "the command prints nothing");
        ssize_t length = read(output, buffer, sizeof buffer);
        if (length <= 0) fail("latency", "the command has ended");
        if (buffer[length - 1] == '\n') return;
    }
}

/* The seconds from the XADD to the line. The XADD's own reply is read after that, so as not to stand in its way. */
static double once(redisContext *redis, int output, const char *stream, int number) {
    redisReply *reply;
    int sent = 0;
    redisAppendCommand(redis, "XADD %s * name tick body {\"number\":%d}", stream, number);
    double start = now();
    while (!sent)
        if (redisBufferWrite(redis, &sent) != REDIS_OK) fail("redis", redis->errstr);
    await_line(output);
    double delay = now() - start;
    if (redisGetReply(redis, (void **)&reply) != REDIS_OK) fail("redis", redis->errstr);
    freeReplyObject(checked(redis, reply));
    return delay;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    int times = argc > 5 ? atoi(argv[4]) : 0;
    if (times < 1) {
        fputs("usage: latency FILE ADDRESS STREAM TIMES COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    redisContext *redis = dial(argv[2]);
    double *delay = malloc((size_t)times * sizeof *delay);
    if (delay == NULL) fail("latency", "out of memory");
    int output = start(argv + 5);
    for (int i = -WARM_UP; i < times; i++) {
        await_blocked(redis);
        double took = once(redis, output, argv[3], i);
        if (i >= 0) delay[i] = took;
    }
    qsort(delay, (size_t)times, sizeof *delay, ascending);
    FILE *file = fopen(argv[1], "a");
    if (file == NULL) fail(argv[1], "cannot be written");
    fprintf(file, "%.3f %.3f\n", delay[times / 2] * 1e6, delay[(size_t)times * 99 / 100] * 1e6);
    return fclose(file) == 0 ? 0 : 1;
}
