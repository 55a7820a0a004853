/* Quicksort of 1024 numbers, with insertion sort for short runs. */
#include "program.h"

#define COUNT 1024

EXPECTED(0x2859eeee)

static u32 numbers[COUNT];

void prepare(void)
{
	u32 x = 2463534242u;
	for (u32 i = 0; i < COUNT; i++)
		numbers[i] = x = next_random(x);
}

static void insertion(u32 *first, u32 *last)
{
	for (u32 *at = first + 1; at <= last; at++) {
		u32 number = *at;
		u32 *hole = at;
		while (hole > first && hole[-1] > number) {
			*hole = hole[-1];
			hole--;
		}
		*hole = number;
	}
}

static void exchange(u32 *a, u32 *b)
{
	u32 number = *a;
	*a = *b;
	*b = number;
}

static void quicksort(u32 *first, u32 *last)
{
	while (last - first > 8) {
		u32 *middle = first + (last - first) / 2;
		if (*middle < *first)
			exchange(middle, first);
		if (*last < *first)
			exchange(last, first);
		if (*last < *middle)
			exchange(last, middle);
		u32 pivot = *middle;
		u32 *low = first, *high = last;
		for (;;) {
			while (*++low < pivot)
				;
			while (*--high > pivot)
				;
			if (low >= high)
				break;
			exchange(low, high);
		}
		if (high - first < last - low) {
			quicksort(first, high);
			first = high + 1;
		} else {
			quicksort(high + 1, last);
			last = high;
		}
	}
	insertion(first, last);
}

void kernel(void)
{
	quicksort(numbers, numbers + COUNT - 1);
}

/* Zero is no digest: it says that the numbers are not in order. */
u32 check(void)
{
	u32 sum = DIGEST_BEGIN;
	for (u32 i = 0; i < COUNT; i++) {
		if (i > 0 && numbers[i - 1] > numbers[i])
			return 0;
		sum = digest(sum, numbers[i]);
	}
	return sum;
}
