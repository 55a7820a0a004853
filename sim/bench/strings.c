/* Copies a dictionary's words and looks words up in the copy: lengths, copies, comparisons byte by byte. */
#include "program.h"

#define WORDS 96
#define TURNS 2

EXPECTED(0xb345c703)

static char dictionary[WORDS][32];
static char copies[WORDS][32];
static u32 found, length;

void prepare(void)
{
	u32 x = 123456789u;
	for (u32 i = 0; i < WORDS; i++) {
		u32 bytes = 6 + i % 19;
		for (u32 j = 0; j < bytes; j++) {
			x = next_random(x);
			/* The words begin alike, so that a comparison takes some steps. */
			dictionary[i][j] = j < 5 ? "inter"[j] : (char)('a' + x % 26);
		}
		dictionary[i][bytes] = 0;
		copies[i][0] = 0;
	}
	found = length = 0;
}

__attribute__((noinline)) static u32 string_length(const char *text)
{
	const char *at = text;
	while (*at)
		at++;
	return at - text;
}

__attribute__((noinline)) static void string_copy(char *to, const char *from)
{
	while ((*to++ = *from++))
		;
}

__attribute__((noinline)) static int string_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (u8)*a - (u8)*b;
}

void kernel(void)
{
	for (u32 turn = 0; turn < TURNS; turn++) {
		for (u32 i = 0; i < WORDS; i++) {
			string_copy(copies[i], dictionary[i]);
			length += string_length(copies[i]);
		}
		for (u32 i = 0; i < WORDS; i += 16)
			for (u32 j = 0; j < WORDS; j++)
				if (string_compare(dictionary[i], copies[j]) == 0)
					found += i * WORDS + j;
	}
}

u32 check(void)
{
	u32 sum = digest(digest(DIGEST_BEGIN, found), length);
	for (u32 i = 0; i < WORDS; i++)
		for (u32 j = 0; copies[i][j]; j++)
			sum = digest(sum, copies[i][j]);
	return sum;
}
