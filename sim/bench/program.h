/* What every program has: three functions, and what the third must return. */

typedef unsigned char u8;
typedef unsigned int u32;

/* Lays out the data as they are before the kernel; called before each pass. */
void prepare(void);
/* What is measured. */
void kernel(void);
/* A digest of what the kernel left. */
u32 check(void);

/* What check() returns after kernel(); build.sh asks a host's processor for it. */
extern const u32 expected;
#define EXPECTED(value) __attribute__((section(".expected"))) const u32 expected = value;

/* Numbers that look random: x, and the next one. */
static inline u32 next_random(u32 x)
{
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* Adds a value to a digest (FNV-1a by dwords). */
static inline u32 digest(u32 sum, u32 value)
{
	return (sum ^ value) * 0x01000193u;
}
#define DIGEST_BEGIN 0x811c9dc5u
