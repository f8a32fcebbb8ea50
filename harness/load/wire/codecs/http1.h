/* Reading HTTP/1.1 responses, in pieces of any size: RFC 9112, as strict about framing as it asks for. */

#ifndef SAMEPORT_PARSER_H
#define SAMEPORT_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_HEAD_BYTES = 64 << 10, MOST_BODY_BYTES = 16 << 20 };

enum verdict {
    NEED_MORE, /* the response goes on */
    COMPLETE,  /* it ended with the last byte of this piece */
    MALFORMED, /* not HTTP, too large, or followed by what nobody asked for */
    TRUNCATED, /* the stream ended before the response did */
    NO_MEMORY
};

struct bytes {
    char *data;
    size_t length, capacity;
};

/* What the reader of all responses wants to know. */
struct wanted {
    const char *header; /* in lower case; the field that names the instance, NULL for none */
    size_t header_length;
    bool body; /* whether the body has to be kept */
};

struct parser {
    uint8_t state;
    bool one_one, closes, chunked, ended;
    bool has_length, folded;
    uint16_t status;
    uint64_t left;       /* of the body, or of the chunk; behind a chunk, how much of its line break came */
    uint64_t body_bytes; /* so far */
    size_t seen;         /* bytes of the head that are known not to end it, or of the trailers so far */
    struct bytes head;   /* what came of a head, of a chunk's line, or of a trailer, if it came in pieces */
    struct bytes name;   /* the instance's, from its header field */
    struct bytes body;   /* only if it is wanted */
};

void parser_reset(struct parser *parser);
void parser_free(struct parser *parser);

/* Take the next bytes; none are the end of the stream. After anything but NEED_MORE, reset it. */
enum verdict parser_feed(struct parser *parser, const struct wanted *wanted, const char *data, size_t length);

/* Whether the connection can take another request, once the response is complete. */
bool parser_keeps(const struct parser *parser);

bool bytes_append(struct bytes *bytes, const char *data, size_t length);

#endif
