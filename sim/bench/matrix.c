/* Multiplies two matrices of 24 x 24 integers. */
#include "program.h"

#define SIZE 24

EXPECTED(0x1c331868)

static int a[SIZE][SIZE], b[SIZE][SIZE], product[SIZE][SIZE];

void prepare(void)
{
	u32 x = 314159265u;
	for (u32 i = 0; i < SIZE; i++)
		for (u32 j = 0; j < SIZE; j++) {
			a[i][j] = (int)(x = next_random(x)) >> 20;
			b[i][j] = (int)(x = next_random(x)) >> 20;
			product[i][j] = 0;
		}
}

void kernel(void)
{
	for (u32 i = 0; i < SIZE; i++)
		for (u32 j = 0; j < SIZE; j++) {
			int sum = 0;
			for (u32 k = 0; k < SIZE; k++)
				sum += a[i][k] * b[k][j];
			product[i][j] = sum;
		}
}

u32 check(void)
{
	u32 sum = DIGEST_BEGIN;
	for (u32 i = 0; i < SIZE; i++)
		for (u32 j = 0; j < SIZE; j++)
			sum = digest(sum, product[i][j]);
	return sum;
}
