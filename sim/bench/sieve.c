/* The sieve of Eratosthenes over 12 K flags, one byte each. */
#include "program.h"

#define FLAGS 12288

EXPECTED(0x3c18eebc)

static u8 composite[FLAGS];
static u32 primes, last;

void prepare(void)
{
	for (u32 i = 0; i < FLAGS; i++)
		composite[i] = 0;
	primes = last = 0;
}

void kernel(void)
{
	for (u32 i = 2; i < FLAGS; i++) {
		if (composite[i])
			continue;
		primes++;
		last = i;
		for (u32 multiple = i + i; multiple < FLAGS; multiple += i)
			composite[multiple] = 1;
	}
}

u32 check(void)
{
	u32 sum = digest(digest(DIGEST_BEGIN, primes), last);
	for (u32 i = 0; i < FLAGS; i++)
		sum = digest(sum, composite[i]);
	return sum;
}
