/* What programs of everyday did when they were measured like this: records, pointers, small procedures, strings, cases. */
#include "program.h"

#define TURNS 120

EXPECTED(0x586ce3e1)

enum kind { RED, GREEN, BLUE };

struct record {
	struct record *partner;
	enum kind kind;
	int quantity;
	char name[32];
};

static struct record first, second;
static int counts[50];
static int grid[20][20];
static char flag;
static int total;

static const char first_name[] = "a record of the first kind, RED";
static const char other_name[] = "a record of the first kind, RAW";

__attribute__((noinline)) static void copy_name(char *to, const char *from)
{
	for (u32 i = 0; i < 32; i++)
		to[i] = from[i];
}

void prepare(void)
{
	first = (struct record){ &second, RED, 17, "" };
	second = (struct record){ &first, BLUE, 4, "" };
	copy_name(first.name, first_name);
	copy_name(second.name, other_name);
	for (u32 i = 0; i < 50; i++)
		counts[i] = i;
	for (u32 i = 0; i < 20; i++)
		for (u32 j = 0; j < 20; j++)
			grid[i][j] = i - j;
	flag = 'A';
	total = 0;
}

__attribute__((noinline)) static int is_after(const char *a, const char *b)
{
	for (u32 i = 0; i < 32; i++)
		if (a[i] != b[i])
			return a[i] > b[i];
	return 0;
}

__attribute__((noinline)) static enum kind other_kind(enum kind kind, int quantity)
{
	switch (kind) {
	case RED:
		return quantity > 100 ? GREEN : BLUE;
	case GREEN:
		return RED;
	default:
		return quantity & 1 ? GREEN : RED;
	}
}

__attribute__((noinline)) static void swap_partners(struct record *record)
{
	struct record *partner = record->partner;
	int quantity = partner->quantity;
	partner->quantity = record->quantity + 3;
	record->quantity = quantity;
	partner->kind = other_kind(record->kind, quantity);
	if (is_after(partner->name, record->name))
		record->kind = partner->kind;
}

__attribute__((noinline)) static int at_place(int *row, int cells[][20], int place, int value)
{
	int at = place % 20 + 3;
	row[at] = value;
	row[at + 1] = row[at];
	row[at + 20] = at;
	cells[at % 20][place % 19] += row[at + 1];
	cells[at % 20][place % 19 + 1] = row[at];
	return cells[place % 20][at % 20];
}

__attribute__((noinline)) static int letters_between(char low, char high)
{
	int letters = 0;
	for (char letter = low; letter <= high; letter++)
		letters += letter != flag;
	return letters;
}

void kernel(void)
{
	int one = 1, two = 2;
	for (int turn = 1; turn <= TURNS; turn++) {
		swap_partners(turn & 1 ? &first : &second);
		two = at_place(counts, grid, turn, one + two);
		total += letters_between('A', 'A' + turn % 7);
		one = one * 5 - two;
		if (one > 1000 || one < -1000)
			one = one / 7;
		if ((turn & 15) == 0) {
			copy_name(second.name, turn & 16 ? first_name : other_name);
			flag = 'A' + (turn >> 4);
		}
		total += one ^ two;
	}
}

u32 check(void)
{
	u32 sum = digest(digest(DIGEST_BEGIN, total), first.quantity * 1000 + second.quantity);
	sum = digest(sum, first.kind * 3 + second.kind);
	for (u32 i = 0; i < 50; i++)
		sum = digest(sum, counts[i]);
	for (u32 i = 0; i < 20; i++)
		for (u32 j = 0; j < 20; j++)
			sum = digest(sum, grid[i][j]);
	for (u32 i = 0; i < 32; i++)
		sum = digest(sum, second.name[i]);
	return sum;
}
