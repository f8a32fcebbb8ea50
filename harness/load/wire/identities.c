/* The instances that have answered, by number, and the first odd answer. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static uint64_t hash_of(const char *data, size_t length) {
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a, 64 bit */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3;
    return hash;
}

static uint32_t *place_of(struct engine *engine, uint64_t hash, const char *name, size_t length) {
    for (size_t at = hash & (engine->table_size - 1);; at = (at + 1) & (engine->table_size - 1)) {
        uint32_t found = engine->table[at];
        if (!found)
            return &engine->table[at];
        struct identity *identity = &engine->identities[found - 1];
        if (identity->hash == hash && identity->length == length && !memcmp(identity->name, name, length))
            return &engine->table[at];
    }
}

static bool more_identities(struct engine *engine) {
    size_t capacity = engine->identities_capacity ? 2 * engine->identities_capacity : 64;
    uint32_t *table = calloc(4 * capacity, sizeof *table);
    struct identity *identities = realloc(engine->identities, capacity * sizeof *identities);
    if (identities)
        engine->identities = identities;
    if (!table || !identities) {
        free(table);
        return false;
    }
    free(engine->table);
    engine->table = table;
    engine->table_size = 4 * capacity;
    engine->identities_capacity = capacity;
    for (size_t i = 0; i < engine->identities_length; i++) {
        struct identity *known = &identities[i];
        *place_of(engine, known->hash, known->name, known->length) = (uint32_t)i + 1;
    }
    return true;
}

uint32_t engine_identity(struct engine *engine, const char *name, size_t length) {
    uint64_t hash = hash_of(name, length);
    if (engine->table) {
        uint32_t known = *place_of(engine, hash, name, length);
        if (known)
            return known - 1;
    }
    if (engine->identities_length >= MOST_IDENTITIES)
        return NO_INSTANCE;
    char *copy = malloc(length ? length : 1);
    if (!copy) {
        fail(engine, ENOMEM);
        return NO_INSTANCE;
    }
    memcpy(copy, name, length);
    uint32_t index = NO_INSTANCE;
    pthread_mutex_lock(&engine->lock);
    if (engine->identities_length < engine->identities_capacity || more_identities(engine)) {
        index = (uint32_t)engine->identities_length++;
        engine->identities[index] = (struct identity){copy, length, hash};
        *place_of(engine, hash, name, length) = index + 1;
    } else {
        free(copy);
        fail(engine, ENOMEM);
    }
    pthread_mutex_unlock(&engine->lock);
    return index;
}

void engine_identities(struct engine *engine, size_t from, void (*take)(void *, const char *, size_t), void *to) {
    pthread_mutex_lock(&engine->lock);
    for (size_t i = from; i < engine->identities_length; i++)
        take(to, engine->identities[i].name, engine->identities[i].length);
    pthread_mutex_unlock(&engine->lock);
}

void remember(struct engine *engine, struct flow *flow, struct span data) {
    size_t missing = ODD_BYTES - flow->began.length;
    if (!engine->odd_length &&
        !bytes_append(&flow->began, data.data, data.length < missing ? data.length : missing))
        fail(engine, ENOMEM);
}

void note_odd(struct engine *engine, struct flow *flow, struct span data) {
    if (engine->odd_length)
        return;
    remember(engine, flow, data);
    pthread_mutex_lock(&engine->lock);
    engine->odd_length = flow->began.length;
    memcpy(engine->odd_answer, flow->began.data, engine->odd_length);
    pthread_mutex_unlock(&engine->lock);
}

size_t engine_odd_answer(struct engine *engine, char *to, size_t most) {
    pthread_mutex_lock(&engine->lock);
    size_t length = engine->odd_length < most ? engine->odd_length : most;
    memcpy(to, engine->odd_answer, length);
    pthread_mutex_unlock(&engine->lock);
    return length;
}
