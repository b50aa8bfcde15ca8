/**
 * SHA-256 of a text as hex. Lone surrogates count as themselves, so that different texts have
 * different digests.
 */
export async function digestOf(text: string): Promise<string> {
  const bytes = text.isWellFormed()
    ? new TextEncoder().encode(text)
    : Uint16Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(digest).toHex();
}
