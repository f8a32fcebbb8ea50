/* The words of HTTP's head, as HTTP/1.1 and what begins with it have them: RFC 9110 and RFC 9112. */

#ifndef SAMEPORT_HTTP_TEXT_H
#define SAMEPORT_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* RFC 9110, section 5.6.2: the characters of a field's name. */
static inline bool is_token(unsigned char c) {
    static const bool table[256] = {
        ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1,
        ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1,
        ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
    };
    return table[c];
}

/* RFC 9110, section 5.5: visible characters, blanks, and what older servers send beyond ASCII. */
static inline bool is_text(unsigned char c) {
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

static inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static inline bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static inline bool all_text(const char *at, const char *end) {
    while (at < end)
        if (!is_text((unsigned char)*at++))
            return false;
    return true;
}

struct line {
    const char *at, *end; /* without its line break */
    const char *next;
};

/* Find the line that begins here; a bare line feed ends one, too (RFC 9112, section 2.2). */
static inline bool line_at(const char *at, const char *limit, struct line *line) {
    const char *feed = at < limit ? memchr(at, '\n', (size_t)(limit - at)) : NULL;
    if (!feed)
        return false;
    *line = (struct line){at, feed > at && feed[-1] == '\r' ? feed - 1 : feed, feed + 1};
    return true;
}

static inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Whether this is the word, which is in lower case; strncasecmp() asks the locale, and in Turkish I is not i. */
static inline bool same(const char *at, const char *word, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (at[i] != word[i] && lower(at[i]) != word[i])
            return false;
    return true;
}

static inline bool equals(const char *at, const char *end, const char *word) {
    size_t length = strlen(word);
    return (size_t)(end - at) == length && same(at, word, length);
}

#endif
