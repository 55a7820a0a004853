/* Calls upon calls: Fibonacci numbers, the towers of Hanoi, six queens. */
#include "program.h"

#define QUEENS 6

EXPECTED(0x2499dd42)

static u32 fibonacci_number, moves, solutions;
static u8 towers[3][12], heights[3];
static u8 column[QUEENS];

void prepare(void)
{
	fibonacci_number = moves = solutions = 0;
	for (u32 i = 0; i < 9; i++)
		towers[0][i] = 9 - i;
	heights[0] = 9;
	heights[1] = heights[2] = 0;
}

__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) static u32 fibonacci(u32 n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__attribute__((noinline, noclone)) static void move_disc(u32 from, u32 to)
{
	towers[to][heights[to]++] = towers[from][--heights[from]];
	moves++;
}

__attribute__((noinline, noclone)) static void hanoi(u32 discs, u32 from, u32 to)
{
	if (discs == 0)
		return;
	hanoi(discs - 1, from, 3 - from - to);
	move_disc(from, to);
	hanoi(discs - 1, 3 - from - to, to);
}

__attribute__((noinline, noclone)) static int is_safe(u32 row, u32 place)
{
	for (u32 above = 0; above < row; above++) {
		u32 distance = row - above;
		if (column[above] == place || column[above] + distance == place || column[above] == place + distance)
			return 0;
	}
	return 1;
}

__attribute__((noinline, noclone)) static void queens(u32 row)
{
	if (row == QUEENS) {
		solutions++;
		return;
	}
	for (u32 place = 0; place < QUEENS; place++) {
		if (is_safe(row, place)) {
			column[row] = place;
			queens(row + 1);
		}
	}
}

void kernel(void)
{
	fibonacci_number = fibonacci(14);
	hanoi(9, 0, 2);
	queens(0);
}

u32 check(void)
{
	u32 sum = digest(digest(digest(DIGEST_BEGIN, fibonacci_number), moves), solutions);
	for (u32 i = 0; i < 9; i++)
		sum = digest(sum, towers[2][i]);
	return sum;
}
