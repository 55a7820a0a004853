/* A state machine from tables reads 4 KB of text, marks each character, counts words, numbers, strings and signs. */
#include "program.h"

#define BYTES 4096

EXPECTED(0x9261186f)

enum class { SPACE, LETTER, DIGIT, QUOTE, OTHER, CLASSES };
enum state { BETWEEN, WORD, NUMBER, STRING, SIGN, STATES };

static char text[BYTES];
static u8 marks[BYTES];
static u8 classes[256];
static const u8 next_state[STATES][CLASSES] = {
	/*            space    letter  digit   quote    other */
	[BETWEEN] = { BETWEEN, WORD,   NUMBER, STRING,  SIGN },
	[WORD]    = { BETWEEN, WORD,   WORD,   STRING,  SIGN },
	[NUMBER]  = { BETWEEN, WORD,   NUMBER, STRING,  SIGN },
	[STRING]  = { STRING,  STRING, STRING, BETWEEN, STRING },
	[SIGN]    = { BETWEEN, WORD,   NUMBER, STRING,  SIGN },
};
static u32 entered[STATES], sum, longest;

void prepare(void)
{
	static const char alphabet[] = "etaoin shrdlu 0123 xyz 456 \"+-/ abc def ";
	u32 x = 271828182u;
	for (u32 i = 0; i < 256; i++)
		classes[i] = OTHER;
	classes[' '] = SPACE;
	for (u32 i = 'a'; i <= 'z'; i++)
		classes[i] = LETTER;
	for (u32 i = '0'; i <= '9'; i++)
		classes[i] = DIGIT;
	classes['"'] = QUOTE;
	for (u32 i = 0; i < BYTES; i++) {
		x = next_random(x);
		text[i] = alphabet[x % (sizeof alphabet - 1)];
	}
	for (u32 i = 0; i < STATES; i++)
		entered[i] = 0;
	sum = longest = 0;
}

void kernel(void)
{
	enum state state = BETWEEN;
	u32 value = 0, length = 0;
	for (u32 i = 0; i < BYTES; i++) {
		u8 c = text[i];
		enum state next = next_state[state][classes[c]];
		marks[i] = next;
		length++;
		if (next != state) {
			entered[next]++;
			if (length > longest)
				longest = length;
			length = 0;
		}
		switch (next) {
		case NUMBER:
			value = value * 10 + (c - '0');
			break;
		case WORD:
			sum += c;
			break;
		case SIGN:
			sum = sum << 1 | sum >> 31;
			break;
		default:
			sum ^= value;
			value = 0;
			break;
		}
		state = next;
	}
}

u32 check(void)
{
	u32 result = digest(digest(DIGEST_BEGIN, sum), longest);
	for (u32 i = 0; i < STATES; i++)
		result = digest(result, entered[i]);
	for (u32 i = 0; i < BYTES; i++)
		result = digest(result, marks[i]);
	return result;
}
