// Names for what the API sends and takes. The shapes come from api.d.ts, which is generated from /openapi.json.
import type { components, paths } from "./api";

type Schemas = components["schemas"];
export type Analysis = Schemas["AnalysisOut"];
export type AuditRow = Schemas["AuditRow"];
export type Box = Schemas["Region"]["bbox_l0"];
export type Calibration = Schemas["Calibration"];
export type Card = Schemas["ModelCard"];
export type ThresholdPreset = Schemas["ThresholdPreset"];
export type EvaluatedSlide = Schemas["EvaluatedSlide"];
export type Familiarity = Schemas["Familiarity"];
export type Key = Schemas["KeyOut"];
export type Lesion = Schemas["LesionOut"];
export type ListedSlide = Schemas["ListedSlide"];
export type Me = Schemas["Me"];
export type Person = Schemas["PersonOut"];
export type Profile = Schemas["Profile"];
export type Reason = NonNullable<Schemas["SlideOut"]["reason"]>;
export type Region = Schemas["Region"];
export type RotationCheck = Schemas["RotationCheck"];
export type ShownResults = Schemas["ShownResults"];
export type Slide = Schemas["SlideOut"];
export type SlidePage = Schemas["SlidePage"];
export type Tiles = Schemas["TilesOut"];
export type Unread = Schemas["Unread"];

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
