// Names for what the API sends and takes. The shapes come from api.d.ts, which is generated from /openapi.json.
import type { components, paths } from "./api";

type Schemas = components["schemas"];
export type Analysis = Schemas["AnalysisOut"];
export type AuditRow = Schemas["AuditRow"];
export type Key = Schemas["KeyOut"];
export type Me = Schemas["Me"];
export type Person = Schemas["PersonOut"];
export type Slide = Schemas["SlideOut"];
export type ListedSlide = Schemas["ListedSlide"];
export type SlidePage = Schemas["SlidePage"];

/** A request to the API by method and path template; the types of its parts follow from both. */
export type Method = "get" | "post" | "put" | "patch" | "delete";
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: object }> ? P : never;
}[keyof paths];
type Operation<M extends Method, P extends keyof paths> = paths[P] extends Record<M, infer O> ? O : never;
type Part<O, K extends string> = O extends { parameters: { [name in K]: infer V extends object } } ? { [name in K]: V } : unknown;
type Optional<O, K extends string> = O extends { parameters: { [name in K]?: infer V } } ? { [name in K]?: V } : unknown;
type Body<O> = O extends { requestBody: { content: { "application/json": infer V } } } ? { body: V }
  : O extends { requestBody?: { content: { "application/json": infer V } } } ? { body?: V } : unknown;
export type Options<M extends Method, P extends keyof paths> = Part<Operation<M, P>, "path"> & Optional<Operation<M, P>, "query"> &
  Body<Operation<M, P>> & { signal?: AbortSignal };
export type Rest<M extends Method, P extends keyof paths> = object extends Options<M, P> ? [Options<M, P>?] : [Options<M, P>];

type Success<O> = O extends { responses: infer R } ? R[Extract<keyof R, 200 | 201 | 202 | 204>] : never;
export type Answer<M extends Method, P extends keyof paths> =
  Success<Operation<M, P>> extends { content: { "application/json": infer V } } ? V : undefined;

// What the document does not describe yet.
export interface Reason { code: string; detail: string; action?: string }
export interface Level { width: number; height: number; tile_width: number; tile_height: number; downsample_x: number; downsample_y: number }
export interface Tiles { width: number; height: number; mpp_x: number | null; levels: Level[]; tile_url: string; version: string }
export type Box = [left: number, top: number, right: number, bottom: number];
export interface Region { rank: number; cells: number; max_score: number; mean_score: number; area_um2: number; area_corrected_um2: number; peak_l0: [number, number]; bbox_l0: Box }
export interface Regions { summary: string; threshold: number; regions: Region[] }
export interface RotationCheck { regions: number; passed: boolean | null; elements: string[]; outside: string[]; residual_logits: number | null; tolerance_logits: number; drift_logits?: number | null; spread_logits?: number | null }
export interface Familiarity { unfamiliar_share: number; usual_share: number }
export interface Calibration { prevalence: number; rare_prevalence: number; worth_where_rare: Record<string, number> }
export interface Results {
  coverage: { analysed_mm2: number; tissue_mm2: number; unreadable_cells: number };
  rotation_check: RotationCheck | null; familiarity: Familiarity | null; calibration: Calibration | null; threshold: number; scope_notes: { sentence: string }[];
}
export interface Provenance { model: string; weights_sha256: string; backend: string; precision: string }
export interface Card { name: string; purpose: string }
export interface Models { models: Card[]; default: string }
export interface Miss { area_um2: number; major_axis_um: number; bbox_l0: Box }
export interface EvaluatedSlide { analysis_id: string; left_out: unknown; lesions: { counted: boolean }[]; misses: Miss[]; false_positives: unknown[] }
export interface Profile { scores: number[]; angles_deg: number[]; spread: number }
