/* HTTP/1.1, one exchange at a time. Reads responses in pieces of any size, as strict about framing as RFC 9112
   asks for. */

#include <stdlib.h>
#include <string.h>

#include "../codec.h"
#include "http_text.h"

enum { MOST_HEAD_BYTES = 64 << 10, MOST_BODY_BYTES = 16 << 20 };

enum state { HEAD, BODY_OF_LENGTH, BODY_TO_END, CHUNK_LINE, CHUNK_DATA, CHUNK_END, TRAILERS };

/* No number of a length counts beyond this, however many digits it has. */
enum { MOST_NUMBER = MOST_BODY_BYTES + 1 };

static const char VERSION[] = "HTTP/1.";

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

/* Section 4: HTTP-version SP status-code [SP reason]. A higher minor version is read as 1.1 (RFC 9110, 2.5). */
static bool read_status_line(struct parser *parser, struct line line) {
    size_t length = (size_t)(line.end - line.at);
    const char *at = line.at;
    if (length < 12 || memcmp(at, VERSION, 7) || !is_digit(at[7]) || at[8] != ' ')
        return false;
    if (at[9] < '1' || !is_digit(at[9]) || !is_digit(at[10]) || !is_digit(at[11]))
        return false;
    if (length > 12 && (at[12] != ' ' || !all_text(at + 13, line.end)))
        return false;
    parser->one_one = at[7] != '0';
    parser->status = (uint16_t)((at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0'));
    return true;
}

static uint64_t with_digit(uint64_t number, unsigned base, unsigned digit) {
    return number < MOST_NUMBER ? number * base + digit : number;
}

/* Several equal lengths, in one field or many, are one (RFC 9110, section 8.6); others could hide a response. */
static bool read_lengths(struct parser *parser, const char *at, const char *end) {
    for (;;) {
        while (at < end && is_blank(*at))
            at++;
        const char *first = at;
        uint64_t length = 0;
        for (; at < end && is_digit(*at); at++)
            length = with_digit(length, 10, (unsigned)(*at - '0'));
        if (at == first || (parser->has_length && length != parser->left))
            return false;
        parser->has_length = true;
        parser->left = length;
        while (at < end && is_blank(*at))
            at++;
        if (at == end)
            return true;
        if (*at++ != ',')
            return false;
    }
}

static void read_connection(struct parser *parser, const char *at, const char *end) {
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        const char *last = stop;
        while (at < last && is_blank(*at))
            at++;
        while (last > at && is_blank(last[-1]))
            last--;
        if (equals(at, last, "close"))
            parser->closes = true;
        at = comma ? comma + 1 : end;
    }
}

static enum verdict read_field(struct parser *parser, const struct wanted *wanted, struct line line) {
    const char *colon = line.at;
    while (colon < line.end && is_token((unsigned char)*colon))
        colon++;
    if (colon == line.at || colon == line.end || *colon != ':' || !all_text(colon, line.end))
        return MALFORMED;
    const char *value = colon + 1, *end = line.end;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    size_t length = (size_t)(colon - line.at);
    switch (length) {
    case 10:
        if (same(line.at, "connection", 10))
            read_connection(parser, value, end);
        break;
    case 14:
        if (same(line.at, "content-length", 14) && !read_lengths(parser, value, end))
            return MALFORMED;
        break;
    case 17:
        if (same(line.at, "transfer-encoding", 17)) {
            /* The request asked for no other coding. */
            if (parser->chunked || !equals(value, end, "chunked"))
                return MALFORMED;
            parser->chunked = true;
        }
        break;
    }
    if (wanted->header && length == wanted->header_length && !parser->name.length && end > value &&
        same(line.at, wanted->header, length) &&
        !bytes_append(&parser->name, value, (size_t)(end - value)))
        return NO_MEMORY;
    return NEED_MORE;
}

/* Read a whole head, the empty line at its end included; NEED_MORE says that it was right. */
static enum verdict read_head(struct parser *parser, const struct wanted *wanted, const char *at,
                              const char *end) {
    struct line line;
    if (!line_at(at, end, &line) || !read_status_line(parser, line))
        return MALFORMED;
    while (line_at(line.next, end, &line) && line.at < line.end) {
        enum verdict verdict = read_field(parser, wanted, line);
        if (verdict != NEED_MORE)
            return verdict;
    }
    return NEED_MORE;
}

/* Decide where the body ends: RFC 9112, section 6.3. */
static enum verdict begin_body(struct parser *parser) {
    uint16_t status = parser->status;
    if (status < 200) {
        if (status == 101)
            return MALFORMED; /* the request asked for no switch of protocols */
        parser->name.length = 0;
        parser->has_length = parser->chunked = parser->closes = false;
        parser->state = HEAD;
        parser->status = 0;
        return NEED_MORE;
    }
    if (status == 204 || status == 304)
        return COMPLETE;
    if (parser->chunked) {
        /* A length beside it is ignored; in HTTP/1.0 there is no such coding. */
        parser->state = CHUNK_LINE;
        return parser->one_one ? NEED_MORE : MALFORMED;
    }
    if (!parser->has_length) {
        parser->state = BODY_TO_END;
        return NEED_MORE;
    }
    if (parser->left > MOST_BODY_BYTES)
        return MALFORMED;
    parser->state = BODY_OF_LENGTH;
    return parser->left ? NEED_MORE : COMPLETE;
}

/* Find the end of the head: an empty line. Gives the position after it, NULL if it has not come yet. */
static const char *head_end(struct parser *parser, const char *data, size_t length) {
    const char *at = data + parser->seen, *limit = data + length;
    while (at < limit && (at = memchr(at, '\n', (size_t)(limit - at)))) {
        at++;
        if (at < limit && *at == '\n')
            return at + 1;
        if (at + 1 < limit && *at == '\r' && at[1] == '\n')
            return at + 2;
        if (at < limit && is_blank(*at))
            parser->folded = true;
    }
    return NULL;
}

/* Make one line of each field that goes on in lines that begin with a blank: RFC 9112, section 5.2, asks user
   agents for it. A status line does not go on; what seems to be its second line is left for a broken field.
   Gives the new length. */
static size_t unfold(char *head, size_t length) {
    size_t to = 0;
    bool status_line = true;
    for (size_t from = 0; from < length;) {
        char c = head[to++] = head[from++];
        if (c != '\n')
            continue;
        if (!status_line && from < length && is_blank(head[from])) {
            to -= to > 1 && head[to - 2] == '\r' ? 2 : 1;
            head[to++] = ' ';
            while (from < length && is_blank(head[from]))
                from++;
        }
        status_line = false;
    }
    return to;
}

/* Whether bytes that came so far could be the beginning of a response at all. */
static bool begins_well(const char *data, size_t length) {
    return !memcmp(data, VERSION, length < 7 ? length : 7);
}

/* Take the next piece of a head. What is used of `data` is cut off its front. */
static enum verdict take_head(struct parser *parser, const struct wanted *wanted, const char **data,
                              size_t *length) {
    const char *whole = *data;
    size_t size = *length, before = parser->head.length;
    if (before) {
        if (!bytes_append(&parser->head, *data, *length))
            return NO_MEMORY;
        whole = parser->head.data;
        size = parser->head.length;
    }
    if (!begins_well(whole, size))
        return MALFORMED;
    const char *end = head_end(parser, whole, size);
    if ((end ? (size_t)(end - whole) : size) > MOST_HEAD_BYTES)
        return MALFORMED;
    if (!end) {
        if (!before && !bytes_append(&parser->head, *data, *length))
            return NO_MEMORY;
        /* The empty line's line feeds may be the last two or three bytes. */
        parser->seen = size > 3 ? size - 3 : 0;
        *data += *length;
        *length = 0;
        return NEED_MORE;
    }
    size_t head = (size_t)(end - whole), used = head - before;
    if (parser->folded) {
        /* What the caller has is not to be changed. */
        if (!before && !bytes_append(&parser->head, whole, head))
            return NO_MEMORY;
        whole = parser->head.data;
        end = whole + unfold(parser->head.data, head);
    }
    enum verdict verdict = read_head(parser, wanted, whole, end);
    if (verdict != NEED_MORE)
        return verdict;
    *data += used;
    *length -= used;
    parser->head.length = 0;
    parser->seen = 0;
    parser->folded = false;
    return begin_body(parser);
}

/* Take what came of the body, or of the chunk, but no more than what is left of it. */
static enum verdict take_body(struct parser *parser, const struct wanted *wanted, const char **data,
                              size_t *length) {
    size_t part = *length;
    if (parser->state != BODY_TO_END) {
        if (part > parser->left)
            part = (size_t)parser->left;
        parser->left -= part;
    } else if (part > MOST_BODY_BYTES - parser->body_bytes) {
        parser->body_bytes = MOST_BODY_BYTES;
        return MALFORMED;
    }
    parser->body_bytes += part;
    if (wanted->body && !bytes_append(&parser->body, *data, part))
        return NO_MEMORY;
    *data += part;
    *length -= part;
    if (parser->state == BODY_TO_END || parser->left)
        return NEED_MORE;
    if (parser->state == BODY_OF_LENGTH)
        return COMPLETE;
    parser->state = CHUNK_END;
    return NEED_MORE;
}

/* Section 7.1: the chunk's size in hexadecimal digits, and perhaps extensions, which are not read. Some servers
   pad the size with blanks. Only a field's line may end with a bare line feed: in a chunk's, one side would see
   an extension where the other sees the data. */
static enum verdict read_chunk_line(struct parser *parser, const char *at, const char *feed) {
    uint64_t size = 0;
    if (feed == at || feed[-1] != '\r')
        return MALFORMED;
    const char *first = at, *end = feed - 1;
    for (; at < end; at++) {
        char c = lower(*at);
        if (is_digit(c))
            size = with_digit(size, 16, (unsigned)(c - '0'));
        else if (c >= 'a' && c <= 'f')
            size = with_digit(size, 16, (unsigned)(c - 'a') + 10);
        else
            break;
    }
    if (at == first)
        return MALFORMED;
    while (at < end && is_blank(*at))
        at++;
    if ((at < end && (*at != ';' || !all_text(at, end))) || size > MOST_BODY_BYTES - parser->body_bytes)
        return MALFORMED;
    parser->left = size;
    parser->state = size ? CHUNK_DATA : TRAILERS;
    return NEED_MORE;
}

/* Take what came of the line break behind a chunk's data; `left` counts its bytes. */
static enum verdict take_chunk_end(struct parser *parser, const char **data, size_t *length) {
    for (; *length && parser->left < 2; parser->left++, ++*data, --*length)
        if (**data != "\r\n"[parser->left])
            return MALFORMED;
    if (parser->left == 2)
        parser->state = CHUNK_LINE;
    return NEED_MORE;
}

/* Section 7.1.2: fields after the last chunk, which say nothing here, up to an empty line. */
static enum verdict read_trailer(struct parser *parser, const char *at, const char *feed) {
    const char *end = feed > at && feed[-1] == '\r' ? feed - 1 : feed, *colon = at;
    if (at == end)
        return COMPLETE;
    bool goes_on = parser->seen && is_blank(*at);
    parser->seen += (size_t)(feed + 1 - at);
    if (goes_on)
        return all_text(at, end) ? NEED_MORE : MALFORMED;
    while (colon < end && is_token((unsigned char)*colon))
        colon++;
    return colon > at && colon < end && *colon == ':' && all_text(colon, end) ? NEED_MORE : MALFORMED;
}

/* Take what came of a chunk's line or of a trailer, and read it when all of it is there. */
static enum verdict take_line(struct parser *parser, const char **data, size_t *length) {
    const char *feed = memchr(*data, '\n', *length);
    size_t part = feed ? (size_t)(feed - *data) + 1 : *length;
    if (parser->seen + parser->head.length + part > MOST_HEAD_BYTES)
        return MALFORMED;
    if (!bytes_append(&parser->head, *data, part))
        return NO_MEMORY;
    *data += part;
    *length -= part;
    if (!feed)
        return NEED_MORE;
    const char *at = parser->head.data;
    feed = at + parser->head.length - 1;
    parser->head.length = 0;
    return parser->state == CHUNK_LINE ? read_chunk_line(parser, at, feed) : read_trailer(parser, at, feed);
}

static enum verdict take(struct parser *parser, const struct wanted *wanted, const char **data, size_t *length) {
    switch (parser->state) {
    case HEAD:
        return take_head(parser, wanted, data, length);
    case BODY_OF_LENGTH:
    case BODY_TO_END:
    case CHUNK_DATA:
        return take_body(parser, wanted, data, length);
    case CHUNK_END:
        return take_chunk_end(parser, data, length);
    default:
        return take_line(parser, data, length);
    }
}

/* Forget the last response, but for the memory that it took. */
static void reset(struct parser *parser) {
    struct bytes head = parser->head, name = parser->name, body = parser->body;
    head.length = name.length = body.length = 0;
    *parser = (struct parser){.head = head, .name = name, .body = body};
}

static bool http1_begin(void *state, struct span *out) {
    (void)out; /* a connection begins with a request */
    reset(state);
    return true;
}

static bool http1_encode(void *state, struct span request, struct span *out) {
    reset(state);
    *out = request; /* nothing else is under way */
    return true;
}

static enum verdict http1_feed(void *state, const struct wanted *wanted, struct span data, struct answer *answer,
                               struct span *out) {
    struct parser *parser = state;
    (void)out; /* responses are not answered */
    enum verdict verdict = NEED_MORE;
    if (!data.length) {
        parser->ended = true;
        verdict = parser->state == BODY_TO_END ? COMPLETE : TRUNCATED;
    }
    while (verdict == NEED_MORE && data.length)
        verdict = take(parser, wanted, &data.data, &data.length);
    *answer = (struct answer){
        .status = parser->status,
        .body_bytes = parser->body_bytes,
        .name = {parser->name.data, parser->name.length},
        .body = {parser->body.data, parser->body.length},
    };
    return verdict == COMPLETE && data.length ? MALFORMED : verdict; /* no request is open for what follows */
}

static uint32_t http1_capacity(const void *state) {
    const struct parser *parser = state;
    return parser->one_one && !parser->closes && !parser->ended;
}

static void http1_end(void *state) {
    struct parser *parser = state;
    bytes_free(&parser->head);
    bytes_free(&parser->name);
    bytes_free(&parser->body);
}

const struct codec_ops http1 = {
    .name = "http1",
    .state_bytes = sizeof(struct parser),
    .begin = http1_begin,
    .encode = http1_encode,
    .feed = http1_feed,
    .capacity = http1_capacity,
    .end = http1_end,
};
