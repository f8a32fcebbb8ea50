/* A codec that test_wire_codecs.py adds to the engine: a line for each message, with a greeting, numbered requests,
   and pings from the server in between. It does what HTTP/1.1 never does. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../codec.h"

enum { MOST_LINE = 200 };

struct lines {
    struct bytes out, line, name; /* out: whatever was ever put there, of this flow */
    unsigned stream, status;
    bool over;
};

/* Put a line behind what is still to be sent. */
static bool put(struct lines *lines, struct span *out, const char *text) {
    if (!bytes_append(&lines->out, text, strlen(text)))
        return false;
    size_t unsent = out->length + strlen(text);
    *out = (struct span){lines->out.data + lines->out.length - unsent, unsent};
    return true;
}

static bool lines_begin(void *state, struct span *out) {
    struct lines *lines = state;
    lines->out.length = 0;
    lines->stream = 0;
    lines->over = false;
    return put(lines, out, "hello\n");
}

static bool lines_encode(void *state, struct span request, struct span *out) {
    struct lines *lines = state;
    char text[MOST_LINE];
    lines->stream++;
    lines->status = 0;
    lines->line.length = lines->name.length = 0;
    snprintf(text, sizeof text, "%u %.*s\n", lines->stream, (int)request.length, request.data);
    return put(lines, out, text);
}

/* Read "STREAM STATUS NAME". */
static enum verdict read_line(struct lines *lines) {
    unsigned stream;
    char name[MOST_LINE];
    if (sscanf(lines->line.data, "%u %u %199s", &stream, &lines->status, name) != 3 || stream != lines->stream)
        return MALFORMED;
    lines->over = lines->status == 9;
    return bytes_append(&lines->name, name, strlen(name)) ? COMPLETE : NO_MEMORY;
}

static enum verdict take_line(struct lines *lines, struct span *out) {
    enum verdict verdict = NEED_MORE;
    if (!strcmp(lines->line.data, "ping"))
        verdict = put(lines, out, "pong\n") ? NEED_MORE : NO_MEMORY;
    else
        verdict = read_line(lines);
    lines->line.length = 0;
    return verdict;
}

static enum verdict lines_feed(void *state, const struct wanted *wanted, struct span data, struct answer *answer,
                               struct span *out) {
    struct lines *lines = state;
    enum verdict verdict = data.length ? NEED_MORE : TRUNCATED;
    (void)wanted;
    for (; data.length && verdict == NEED_MORE; data.data++, data.length--) {
        bool ends = *data.data == '\n';
        if (lines->line.length == MOST_LINE - 1 || !bytes_append(&lines->line, ends ? "" : data.data, 1))
            verdict = MALFORMED;
        else if (ends)
            verdict = take_line(lines, out);
    }
    *answer = (struct answer){
        .protocol_status = (uint16_t)lines->status,
        .stream = (uint16_t)lines->stream,
        .name = {lines->name.data, lines->name.length},
    };
    return verdict;
}

static uint32_t lines_capacity(const void *state) {
    const struct lines *lines = state;
    return lines->over ? 0 : 1;
}

static void lines_end(void *state) {
    struct lines *lines = state;
    bytes_free(&lines->out);
    bytes_free(&lines->line);
    bytes_free(&lines->name);
}

const struct codec_ops lines = {
    .name = "lines",
    .state_bytes = sizeof(struct lines),
    .begin = lines_begin,
    .encode = lines_encode,
    .feed = lines_feed,
    .capacity = lines_capacity,
    .end = lines_end,
};
