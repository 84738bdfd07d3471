/* What a C program with hiredis does for the same jobs: one command at a time, each reply awaited.
 *
 *   peer version
 *   peer ADDRESS group  STREAM GROUP   all new entries of a group, each batch acknowledged; prints how many
 *   peer ADDRESS read   STREAM         all entries from the beginning; prints how many
 *   peer ADDRESS follow STREAM         blocks for new entries; prints a line for each, until killed */

#include "dial.h"

#define COUNT "1000" /* as consume asks for */

/* The entries of a reply about one stream, [[stream, [[id, [field, value, ...]], ...]]], or NULL for none. */
static redisReply *entries(redisReply *reply) {
    if (reply->type == REDIS_REPLY_NIL || reply->elements == 0) return NULL;
    redisReply *batch = reply->element[0]->element[1];
    return batch->elements > 0 ? batch : NULL;
}

static redisReply *id_of(redisReply *batch, size_t index) { return batch->element[index]->element[0]; }

static void acknowledge(redisContext *redis, const char *stream, const char *group, redisReply *batch) {
    size_t arguments = 3 + batch->elements;
    const char **argument = malloc(arguments * sizeof *argument);
    size_t *length = malloc(arguments * sizeof *length);
    if (argument == NULL || length == NULL) fail("peer", "out of memory");
    argument[0] = "XACK", argument[1] = stream, argument[2] = group;
    for (size_t i = 0; i < 3; i++) length[i] = strlen(argument[i]);
    for (size_t i = 0; i < batch->elements; i++) {
        argument[3 + i] = id_of(batch, i)->str;
        length[3 + i] = id_of(batch, i)->len;
    }
    freeReplyObject(checked(redis, redisCommandArgv(redis, (int)arguments, argument, length)));
    free(argument);
    free(length);
}

static size_t group(redisContext *redis, const char *stream, const char *name) {
    size_t total = 0;
    for (;;) {
        redisReply *reply = checked(
            redis, redisCommand(redis, "XREADGROUP GROUP %s peer COUNT " COUNT " STREAMS %s >", name, stream));
        redisReply *batch = entries(reply);
        if (batch == NULL) return total;
        acknowledge(redis, stream, name, batch);
        total += batch->elements;
        freeReplyObject(reply);
    }
}

/* Keeps the last ID of a batch: where the next read goes on. */
static void advance(char *last, size_t size, redisReply *batch) {
    snprintf(last, size, "%s", id_of(batch, batch->elements - 1)->str);
}

static size_t from_beginning(redisContext *redis, const char *stream) {
    char last[64] = "0";
    size_t total = 0;
    for (;;) {
        redisReply *reply = checked(redis, redisCommand(redis, "XREAD COUNT " COUNT " STREAMS %s %s", stream, last));
        redisReply *batch = entries(reply);
        if (batch == NULL) return total;
        advance(last, sizeof last, batch);
        total += batch->elements;
        freeReplyObject(reply);
    }
}

static void follow(redisContext *redis, const char *stream) {
    char last[64] = "$";
    for (;;) {
        redisReply *reply =
            checked(redis, redisCommand(redis, "XREAD BLOCK 0 COUNT " COUNT " STREAMS %s %s", stream, last));
        redisReply *batch = entries(reply);
        if (batch == NULL) continue;
        for (size_t i = 0; i < batch->elements; i++) {
            redisReply *fields = batch->element[i]->element[1];
            printf("%s", id_of(batch, i)->str);
            for (size_t j = 0; j < fields->elements; j++) printf(" %s", fields->element[j]->str);
            putchar('\n');
        }
        fflush(stdout);
        advance(last, sizeof last, batch);
        freeReplyObject(reply);
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        printf("%d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    } else if (argc == 5 && strcmp(argv[2], "group") == 0) {
        printf("%zu\n", group(dial(argv[1]), argv[3], argv[4]));
    } else if (argc == 4 && strcmp(argv[2], "read") == 0) {
        printf("%zu\n", from_beginning(dial(argv[1]), argv[3]));
    } else if (argc == 4 && strcmp(argv[2], "follow") == 0) {
        follow(dial(argv[1]), argv[3]);
    } else {
        fputs("usage: peer version | peer ADDRESS group STREAM GROUP | peer ADDRESS read|follow STREAM\n", stderr);
        return 2;
    }
    return 0;
}
