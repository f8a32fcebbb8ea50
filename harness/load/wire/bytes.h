/* Runs of bytes: those that somewhere else holds, and those that grow. */

#ifndef SAMEPORT_BYTES_H
#define SAMEPORT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that something else holds. */
struct span {
    const char *data;
    size_t length;
};

struct bytes {
    char *data;
    size_t length, capacity;
};

static inline bool bytes_append(struct bytes *bytes, const char *data, size_t length) {
    if (length > bytes->capacity - bytes->length) {
        size_t capacity = bytes->capacity ? bytes->capacity : 512;
        while (capacity - bytes->length < length)
            capacity *= 2;
        char *grown = realloc(bytes->data, capacity);
        if (!grown)
            return false;
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    if (length)
        memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    return true;
}

static inline void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}

#endif
