/* Runs a program on the host, twice as the simulated chip does, and prints what check() returned. */
#include "program.h"
#include <stdio.h>

int main(void)
{
	u32 result = 0;
	for (int pass = 0; pass < 2; pass++) {
		prepare();
		kernel();
		result = check();
		if (result != expected) {
			printf("%08x, expected %08x\n", result, expected);
			return 1;
		}
	}
	printf("%08x\n", result);
	return 0;
}
