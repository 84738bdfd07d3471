/* What the C programs here share: a connection to ADDRESS (a socket's path, or HOST:PORT) and replies that are no
 * errors. Any failure ends the program. */

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *why) {
    fprintf(stderr, "error: %s: %s\n", what, why);
    exit(1);
}

static redisContext *dial(const char *address) {
    const char *colon = strrchr(address, ':');
    redisContext *redis;
    if (address[0] == '/') {
        redis = redisConnectUnix(address);
    } else if (colon != NULL) {
        char host[256];
        snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
        redis = redisConnect(host, atoi(colon + 1));
    } else {
        fail(address, "neither a path nor HOST:PORT");
        return NULL;
    }
    if (redis == NULL || redis->err) fail(address, redis == NULL ? "out of memory" : redis->errstr);
    return redis;
}

static redisReply *checked(redisContext *redis, redisReply *reply) {
    if (reply == NULL) fail("redis", redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR) fail("redis", reply->str);
    return reply;
}
