/* A linked list of 2048 nodes in no order of addresses: 32 KB, more than both caches. Walks, sums, reverses it. */
#include "program.h"

#define NODES 2048

EXPECTED(0xce07351f)

struct node {
	struct node *next;
	u32 key;
	u32 value;
	u32 visits;
};

static struct node nodes[NODES];
static struct node *head;
static u32 sum;

void prepare(void)
{
	/* 1021 is odd: its multiples reach every node. */
	for (u32 i = 0; i < NODES; i++) {
		struct node *node = &nodes[i * 1021 % NODES];
		node->next = i + 1 < NODES ? &nodes[(i + 1) * 1021 % NODES] : 0;
		node->key = i;
		node->value = i * 2654435761u;
		node->visits = 0;
	}
	head = &nodes[0];
	sum = 0;
}

static struct node *reversed(struct node *list)
{
	struct node *done = 0;
	while (list) {
		struct node *next = list->next;
		list->next = done;
		done = list;
		list = next;
	}
	return done;
}

void kernel(void)
{
	for (u32 turn = 0; turn < 3; turn++) {
		for (struct node *node = head; node; node = node->next) {
			sum += node->value ^ node->key;
			node->visits++;
		}
		head = reversed(head);
	}
}

u32 check(void)
{
	u32 result = digest(DIGEST_BEGIN, sum);
	for (struct node *node = head; node; node = node->next)
		result = digest(result, node->key + node->visits);
	return result;
}
