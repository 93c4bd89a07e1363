#pragma once
// Formatter and reader only: sockets and TLS are Shared/IO's and Shared/TLS's.
#include <hiredis/hiredis.h>
#include <stdlib.h>

/// A peer may announce an array of two thousand million elements; hiredis would allocate for it at once.
#define MC_REDIS_MAX_ELEMENTS 65536

/// hiredis' own createArray with a cap. NULL makes the reader fail with REDIS_ERR_OOM.
static inline void *mc_redis_create_array(const redisReadTask *task, int elements) {
    if (elements < 0 || elements > MC_REDIS_MAX_ELEMENTS) return NULL;
    redisReply *reply = (redisReply *)calloc(1, sizeof(redisReply));
    if (reply == NULL) return NULL;
    reply->type = REDIS_REPLY_ARRAY;
    if (elements > 0) {
        reply->element = (redisReply **)calloc((size_t)elements, sizeof(redisReply *));
        if (reply->element == NULL) {
            free(reply);
            return NULL;
        }
    }
    reply->elements = (size_t)elements;
    if (task->parent != NULL) ((redisReply *)task->parent->obj)->element[task->idx] = reply;
    return reply;
}
